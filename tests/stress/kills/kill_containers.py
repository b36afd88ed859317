"""kill -9 of one part of a service with containers, at a random instant of a job, again and again.

    python tests/stress/kills/kill_containers.py [--rounds 20] [--tasks 1000] [--seed N]

The parts take turns: the agent, containerd, a shim, a lackey. Each round runs a job of many tasks
and kills one process of its part after a random part of the time that an undisturbed run takes. The
service itself is left alone, and must finish the job with exactly the outputs of the undisturbed
run; then nothing of the job's instances may be left: no container, snapshot, mount, loop device,
control group, process or directory. A table at the end counts what was killed and what it cost. At
the very end nothing of the service may be left either.

Exit status 0 if every round held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.stress.kills.kill_anywhere import Stress, run_undisturbed
from tests.support.leftovers import assert_nothing_left
from tests.support.nodes.containers import CONTAINERD, REFUSED, VICTIMS, assert_no_container_left
from tests.support.nodes.traces import assert_traces, traces
from tests.support.services.service import Service

# An instance whose agent was killed waits a minute for the next one to want it.
SURVIVE_SECONDS = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    if REFUSED:
        sys.exit(REFUSED)
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        service = Service(Path(directory) / "state", ("--provider", CONTAINERD, "--prepared", "0")).start()
        try:
            table = rounds(service, random.Random(options.seed), options)
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
        assert_no_container_left(service.state_dir)
    print(f"{'part':12}{'rounds':>8}{'killed':>8}{'retries':>9}{'slowest':>9}")
    for part, row in table.items():
        print(f"{part:12}{row.rounds:8}{row.killed:8}{row.retries:9}{row.slowest:8.1f}s")
    print(f"{options.rounds} rounds, every job right, nothing left behind")
    return 0


@dataclass
class Row:
    """What was done to one part, and what it cost."""

    rounds: int = 0
    killed: int = 0  # a part may have had no process at the instant
    retries: int = 0
    slowest: float = 0.0  # seconds that a job took


def rounds(service: Service, draw: random.Random, options: argparse.Namespace) -> dict[str, Row]:
    stress, before = Stress(service, options.tasks), traces(service.state_dir)
    shapes = stress.shapes()
    undisturbed = run_undisturbed(stress)
    table = {part: Row() for part in VICTIMS}
    for number in range(options.rounds):
        part = list(VICTIMS)[number % len(VICTIMS)]
        name, phases, check = draw.choice(shapes)
        started = time.monotonic()
        job = stress.submit(phases)
        instant = draw.random() * undisturbed[name]
        time.sleep(instant)
        killed = kill_one(VICTIMS[part](service.state_dir), draw)
        stress.finish(job)
        took = time.monotonic() - started
        check(job)
        assert_traces(service.state_dir, before, SURVIVE_SECONDS)
        note(table[part], killed, stress.retries(job), took)
        print(
            f"round {number + 1}, {name}: {killed or 'no'} {part} killed after {instant:.2f} s, done in {took:.1f} s",
            flush=True,
        )
    return table


def kill_one(found: list[int], draw: random.Random) -> int:
    """SIGKILL to one of these processes; how many that were."""
    if not found:
        return 0
    try:
        os.kill(draw.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def note(row: Row, killed: int, retries: int, took: float) -> None:
    row.rounds += 1
    row.killed += killed
    row.retries += retries
    row.slowest = max(row.slowest, took)


if __name__ == "__main__":
    sys.exit(main())
