"""kill -9 of one part of a service with containers, at a random instant of a job, again and again.

    python tests/stress/kill_containers.py [--rounds 20] [--tasks 1000] [--seed N]

Each round runs a job of many tasks and kills, after a random part of the time that an undisturbed
run takes, all processes of one kind: the agent, containerd, the shims, or the lackeys. The service
itself is left alone, and must finish the job with exactly the outputs of the undisturbed run. At the
end nothing may be left: no container, process, mount, loop device, cgroup or directory.

Exit status 0 if every round held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.stress.kill_anywhere import MAP_ONLY, REDUCED, Stress
from tests.support.containers import CONTAINERD, REFUSED, VICTIMS, assert_no_container_left
from tests.support.leftovers import assert_nothing_left
from tests.support.service import Service


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
        service = Service(Path(directory) / "state", ("--provider", CONTAINERD)).start()
        try:
            killed = rounds(service, random.Random(options.seed), options)
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
        assert_no_container_left(service.state_dir)
    told = ", ".join(f"{count} {kind}" for kind, count in killed.items())
    print(f"{options.rounds} rounds (processes killed: {told}), every job right, nothing left behind")
    return 0


def rounds(service: Service, draw: random.Random, options: argparse.Namespace) -> Counter[str]:
    stress = Stress(service, options.tasks)
    shapes = [("map", MAP_ONLY, stress.check_map), ("map, map, reduce", REDUCED, stress.check_reduced)]
    undisturbed = {}
    for name, phases, check in shapes:
        started = time.monotonic()
        job = stress.submit(phases)
        stress.finish(job)
        undisturbed[name] = time.monotonic() - started
        check(job)
        print(f"undisturbed {name}: {undisturbed[name]:.1f} s", flush=True)
    killed: Counter[str] = Counter()
    for number in range(options.rounds):
        name, phases, check = shapes[number % len(shapes)]
        victim = draw.choice(sorted(VICTIMS))
        started = time.monotonic()
        job = stress.submit(phases)
        instant = draw.random() * undisturbed[name]
        time.sleep(instant)
        found = VICTIMS[victim](service.state_dir)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed[victim] += len(found)
        stress.finish(job)
        check(job)
        print(
            f"round {number + 1}, {name}: {len(found)} {victim} killed after {instant:.2f} s, "
            f"done in {time.monotonic() - started:.1f} s",
            flush=True,
        )
    stress.finish(stress.submit(MAP_ONLY))  # with an agent that is there to clear up
    return killed


if __name__ == "__main__":
    sys.exit(main())
