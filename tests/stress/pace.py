"""How fast a neighbour's tasks are in containers while somebody's attack lasts: a table.

    python tests/stress/pace.py [--rounds 50] [--bar 4]

One task after the other, each from its input to its end, first on a quiet machine, then beside each of the attacks of
`tests/integration/containerd/test_containerd_pace.py`. (Where another task runs too, even one that sleeps, an agent
waits a tenth of a second for more to report.) The measure is an honest program that is as busy as it may be: whoever
shares a machine with another has half of it. An attack that costs its neighbour more than `--bar` times that, in the
median, makes the exit status 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.containerd.test_containerd_pace import LASTING, Neighbours, neighbours
from tests.support.gate import Gate
from tests.support.nodes.containers import REFUSED

MEASURE = "busy loops"
PAUSE = 0.002


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--bar", type=float, default=4.0)
    options = parser.parse_args()
    if REFUSED:
        sys.exit(REFUSED)
    medians = {}
    print(f"{'beside':16}{'median':>10}{'nine of ten':>14}{'slowest':>11}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        for both in neighbours(Path(directory) / "state"):
            for name in ("nothing", *LASTING):
                took = sorted(beside(both, name if name in LASTING else None, options.rounds))
                medians[name] = statistics.median(took)
                figures = (medians[name], took[len(took) * 9 // 10], took[-1])
                print(f"{name:16}{figures[0]:9.1f} {figures[1]:13.1f} {figures[2]:10.1f} ms", flush=True)
    slow = [name for name in LASTING if medians[name] > options.bar * medians[MEASURE]]
    print(f"more than {options.bar:g} times as slow as beside an honest program: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


def beside(both: Neighbours, attack: str | None, rounds: int) -> list[float]:
    """Milliseconds that each of the neighbour's tasks took."""
    with Gate() as gate:
        job = None if attack is None else both.attack(attack, gate)
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            both.hand_in()
            while not both.is_done():
                time.sleep(PAUSE)
            took.append((time.perf_counter() - began) * 1000)
        gate.open()
        if job is not None:
            both.user.finish(job)
    return took


if __name__ == "__main__":
    sys.exit(main())
