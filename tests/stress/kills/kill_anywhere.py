"""kill -9 of the whole service at a random instant of a job, again and again.

    python tests/stress/kills/kill_anywhere.py [--rounds 20] [--tasks 2000] [--seed N] [--verbose]

Each round runs a job of many tasks, kills every process of the service at once after a random
part of the time that an undisturbed run takes, starts the service again on the same state, and
waits for the job. Then the outputs must be exactly those of the undisturbed run: none missing,
none twice. Rounds take turns between a job of one phase, whose outputs are counted by name and
compared byte for byte, and one of three phases that ends in two reducers. At the end nothing may
be left: no process, no mount, no cgroup, no instance's directory, no blob without a name; and
`remora verify --deep` must find nothing.

Exit status 0 if every round held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from cli.client import objects
from cli.client.jobs import Jobs
from tests.support.eventually import eventually_here
from tests.support.leftovers import assert_nothing_left, unnamed_blobs
from tests.support.services.objects import client, get_many, outputs, put_many
from tests.support.services.service import Service

MAP_ONLY = [{"exec": 'cat; echo "$MANTA_INPUT_OBJECT"'}]
REDUCED = [
    {"exec": 'cat; echo "$MANTA_INPUT_OBJECT"'},
    {"exec": "cat; echo again"},
    {"exec": "sort", "type": "reduce", "count": 2},
]
WAIT_SECONDS = 300


# Of a job: its name, its phases, and what fails unless its outputs are right.
Shape = tuple[str, list[dict[str, object]], Callable[[str], None]]


class Stress:
    """One service, its objects, and the rounds on it."""

    def __init__(self, service: Service, tasks: int) -> None:
        self.service = service
        self.contents = {}
        with client(service) as session:
            directory = f"/{session.settings.account}/stor/many"
            objects.make_directory(session, directory)
            self.contents = {f"{directory}/o{n}": f"object {n}\n".encode() for n in range(tasks)}
            put_many(session, self.contents)

    def shapes(self) -> list[Shape]:
        return [("map", MAP_ONLY, self.check_map), ("map, map, reduce", REDUCED, self.check_reduced)]

    def submit(self, phases: list[dict[str, object]]) -> str:
        with client(self.service) as session:
            jobs = Jobs(session)
            job = jobs.create(json.dumps({"phases": phases}).encode())
            names = [name.encode() for name in self.contents]
            for start in range(0, len(names), 500):
                jobs.add_inputs(job, names[start : start + 500])
            jobs.end_input(job)
            return job

    def finish(self, job: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        with client(self.service) as session:
            while (status := Jobs(session).status(job, wait=5))["state"] != "done":
                if time.monotonic() > deadline:
                    raise AssertionError(f"job {job} hangs: {status}")
            if status["stats"]["errors"]:
                raise AssertionError(f"job {job} has errors: {Jobs(session).first_error(job)}")

    def retries(self, job: str) -> int:
        with client(self.service) as session:
            retries: int = Jobs(session).status(job)["stats"]["retries"]
            return retries

    def check_map(self, job: str) -> None:
        """One output per input, named after it, with its bytes."""
        with client(self.service) as session:
            names = outputs(session, job)
            inputs = Counter(re.sub(r"^/[^/]+/jobs/[^/]+/stor(/.*)\.0\.[0-9a-f-]{36}$", r"\1", name) for name in names)
            expected = Counter(dict.fromkeys(self.contents, 1))
            assert inputs == expected, f"missing {expected - inputs}, too many {inputs - expected}"
            for name, found in zip(names, get_many(session, names), strict=True):
                source = re.sub(r"^/[^/]+/jobs/[^/]+/stor(/.*)\.0\.[0-9a-f-]{36}$", r"\1", name)
                assert found == self.contents[source] + source.encode() + b"\n", f"{name} holds {found!r}"

    def check_reduced(self, job: str) -> None:
        """Every line of every input once, over both reducers."""
        with client(self.service) as session:
            names = outputs(session, job)
            assert len(names) == 2, f"{len(names)} outputs of two reducers"
            lines = Counter(line for part in get_many(session, names) for line in part.splitlines())
        expected = Counter(line for text in self.contents.values() for line in text.splitlines())
        expected += Counter(name.encode() for name in self.contents)
        expected[b"again"] = len(self.contents)
        assert lines == expected, f"missing {expected - lines}, too many {lines - expected}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "state").start()
        try:
            rounds(service, draw, options)
            eventually_here(lambda: not unnamed_blobs(service.state_dir), "intermediates are removed")
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
        done = service.run("remora", "verify", "--deep", "--grace", "0", seconds=600, check=False)
        print(done.stderr.decode(), end="")
        assert done.returncode == 0, done.stdout.decode()[:3000]
    print(f"{options.rounds} kills, every job right, nothing left behind")
    return 0


def run_undisturbed(stress: Stress) -> dict[str, float]:
    """How many seconds a job of each shape takes when nobody is killed, by its name."""
    undisturbed = {}
    for name, phases, check in stress.shapes():
        started = time.monotonic()
        job = stress.submit(phases)
        stress.finish(job)
        undisturbed[name] = time.monotonic() - started
        check(job)
        print(f"undisturbed {name}: {undisturbed[name]:.1f} s", flush=True)
    return undisturbed


def rounds(service: Service, draw: random.Random, options: argparse.Namespace) -> None:
    stress = Stress(service, options.tasks)
    shapes = stress.shapes()
    undisturbed = run_undisturbed(stress)
    for number in range(options.rounds):
        name, phases, check = shapes[number % len(shapes)]
        job = stress.submit(phases)
        instant = draw.random() * undisturbed[name]
        time.sleep(instant)
        service.kill()
        started = time.monotonic()
        service.start()
        up = time.monotonic() - started
        stress.finish(job)
        check(job)
        print(
            f"round {number + 1}, {name}: killed after {instant:.2f} s, up in {up:.2f} s, "
            f"done in {time.monotonic() - started:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
