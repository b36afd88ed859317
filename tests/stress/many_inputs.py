"""Memory does not grow with the number of inputs, and every list can be read to its end.

    python tests/stress/many_inputs.py [--inputs 100000] [--missing 10] [--warm 1000] [--limit-mib 64]

Runs a map of `true` over a few inputs and then, on the same service, over many, of which one in
`--missing` does not exist (0: all exist). Prints the resident memory of the process that is
gateway and supervisor, and of the agent, on the way; then lists outputs, failures and errors with
`mjob` and prints the most that each took. Exit status 0 if every count is right, and the service
has grown by less than the limit, during the job and while its lists were read.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.leftovers import assert_nothing_left
from tests.support.services.objects import client, put_many
from tests.support.services.service import Service, agents_below, command
from tests.support.services.user import User

OBJECTS = 1000
BATCH = 1000
PATIENCE = 6 * 3600.0
# Tasks done after which memory is looked at.
MILESTONES = (1_000, 10_000, 100_000, 200_000, 400_000, 600_000, 800_000)


@dataclass(frozen=True)
class Load:
    """`inputs` names in all; every `missing`-th is of nothing."""

    inputs: int
    missing: int

    @property
    def bad(self) -> int:
        return self.inputs // self.missing if self.missing else 0

    @property
    def good(self) -> int:
        return self.inputs - self.bad

    def names(self, user: User, objects: list[str]) -> Iterator[str]:
        there = itertools.cycle(objects)
        for number in range(1, self.inputs + 1):
            nothing = self.missing and number % self.missing == 0
            yield user.path(f"none{number}") if nothing else next(there)


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def agent_of(service: Service) -> int:
    """The agent, whose children are the instances."""
    assert service.process is not None
    return agents_below(service.process.pid)[0]


class Meter:
    """Prints how the service stands, and remembers the most that it had in memory."""

    def __init__(self, service: Service) -> None:
        assert service.process is not None
        self.service = service
        self.pid = service.process.pid
        self.most = 0.0
        self.started = time.monotonic()

    def show(self, what: str) -> float:
        resident = resident_mib(self.pid)
        self.most = max(self.most, resident)
        print(
            f"{time.monotonic() - self.started:7.0f} s  {what:<24} gateway and supervisor {resident:6.1f} MiB, "
            f"agent {resident_mib(agent_of(self.service)):6.1f} MiB, state {self.state_mib():7.1f} MiB",
            flush=True,
        )
        return resident

    def state_mib(self) -> float:
        """Disk used by the database and its log."""
        return sum(file.stat().st_size for file in self.service.state_dir.glob("remora.db*")) / (1 << 20)


def run(user: User, objects: list[str], load: Load, meter: Meter) -> str:
    """One job, from its creation to its archive; its id. Raises AssertionError if a count is wrong."""
    started = time.monotonic()
    job = user.create("true")
    names = load.names(user, objects)
    while batch := list(itertools.islice(names, BATCH)):
        user.add(job, *batch)
    meter.show(f"{load.inputs:,} inputs added")
    user.jobs.end_input(job)
    status = user.wait(job, milestones(meter))
    done = time.monotonic()
    expected = {"errors": load.bad, "outputs": load.good, "retries": 0, "tasks": load.good, "tasksDone": load.good}
    assert status["stats"] == expected, status["stats"]
    meter.show(f"done, {load.good / (done - started):.0f} tasks/s")
    while "timeArchiveDone" not in user.jobs.status_or_archive(job):
        time.sleep(0.1)
    meter.show(f"archived in {time.monotonic() - done:.1f} s")
    return job


def milestones(meter: Meter) -> Any:
    """Whether a job is done; on the way there memory is shown now and then."""
    ahead = list(MILESTONES)

    def reached(status: dict[str, Any]) -> bool:
        while ahead and status["stats"]["tasksDone"] >= ahead[0]:
            meter.show(f"{ahead.pop(0):,} tasks done")
        return bool(status["state"] == "done")

    return reached


def list_all(service: Service, job: str, what: str, expected: int) -> None:
    """Read a list to its end with `mjob`. Raises AssertionError if it has not as many lines as expected."""
    started = time.monotonic()
    listing = subprocess.Popen(command("mjob", what, job), stdout=subprocess.PIPE, env=service.env)
    assert listing.stdout is not None
    lines = sum(1 for _ in listing.stdout)
    _, status, used = os.wait4(listing.pid, 0)
    listing.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    print(f"           mjob {what}: {lines:,} lines in {seconds:.1f} s, at most {used.ru_maxrss / 1024:.1f} MiB")
    assert (listing.returncode, lines) == (0, expected), f"mjob {what}: {lines} lines, status {listing.returncode}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--missing", type=int, default=0, help="one input in so many does not exist; 0: all do")
    parser.add_argument("--warm", type=int, default=1000, help="inputs of the job to compare with")
    parser.add_argument("--limit-mib", type=float, default=64.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "state").start()
        try:
            with client(service) as session:
                user = User(session)
                user.patience = PATIENCE
                grown = compare(
                    service, user, Load(options.warm, options.missing), Load(options.inputs, options.missing)
                )
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
    print(f"gateway and supervisor grew by {grown:.1f} MiB; the limit is {options.limit_mib:.0f}")
    return 0 if grown < options.limit_mib else 1


def compare(service: Service, user: User, few: Load, many: Load) -> float:
    """MiB that gateway and supervisor have at most, during `many` inputs and after, more than after `few`."""
    objects = [user.path(f"o{number}") for number in range(OBJECTS)]
    put_many(user.session, dict.fromkeys(objects, b"x"))
    meter = Meter(service)
    run(user, objects, few, meter)
    before, meter.most = meter.most, 0.0
    job = run(user, objects, many, meter)
    for what, expected in (
        ("inputs", many.inputs), ("outputs", many.good), ("failures", many.bad), ("errors", many.bad),
    ):  # fmt: skip
        list_all(service, job, what, expected)
    meter.show("lists read")
    return meter.most - before


if __name__ == "__main__":
    sys.exit(main())
