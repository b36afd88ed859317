"""Memory does not grow with the number of inputs.

    python tests/stress/many_inputs.py [--inputs 100000] [--warm 1000] [--limit-mib 64]

Runs a map of `true` over a few inputs and then, on the same service, over many, and prints the
resident memory of the process that is gateway and supervisor (and of the agent) after each.
Exit status 0 if the first has grown by less than the limit, and every input gave one output.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.leftovers import assert_nothing_left
from tests.support.objects import client, put_many
from tests.support.service import Service, descendants
from tests.support.user import User

OBJECTS = 1000
BATCH = 1000
PATIENCE = 3600.0


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def agent_of(service: Service) -> int:
    """The first child is the agent; its children are the instances."""
    assert service.process is not None
    return descendants(service.process.pid)[0]


def run(user: User, names: list[str], inputs: int) -> float:
    """One job with so many inputs, from its creation to its archive; seconds until it was done."""
    started = time.monotonic()
    job = user.create("true")
    each = itertools.islice(itertools.cycle(names), inputs)
    while batch := list(itertools.islice(each, BATCH)):
        user.add(job, *batch)
    user.jobs.end_input(job)
    status = user.wait(job, lambda status: status["state"] == "done", PATIENCE)
    seconds = time.monotonic() - started
    expected = {"errors": 0, "outputs": inputs, "retries": 0, "tasks": inputs, "tasksDone": inputs}
    assert status["stats"] == expected, status["stats"]
    user.wait(job, lambda status: "timeArchiveDone" in status, PATIENCE)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--warm", type=int, default=1000, help="inputs of the job to compare with")
    parser.add_argument("--limit-mib", type=float, default=64.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "state").start()
        try:
            with client(service) as session:
                grown = compare(service, User(session), options.warm, options.inputs)
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
    print(f"gateway and supervisor grew by {grown:.1f} MiB; the limit is {options.limit_mib:.0f}")
    return 0 if grown < options.limit_mib else 1


def compare(service: Service, user: User, warm: int, many: int) -> float:
    """MiB that gateway and supervisor have after `many` inputs more than after `warm`."""
    assert service.process is not None
    names = [user.path(f"o{number}") for number in range(OBJECTS)]
    put_many(user.session, dict.fromkeys(names, b"x"))
    resident = []
    for inputs in (warm, many):
        seconds = run(user, names, inputs)
        resident.append(resident_mib(service.process.pid))
        print(
            f"{inputs:>9,} inputs: {seconds:8.1f} s, {inputs / seconds:6.0f} tasks/s; "
            f"gateway and supervisor {resident[-1]:6.1f} MiB, agent {resident_mib(agent_of(service)):6.1f} MiB",
            flush=True,
        )
    return resident[1] - resident[0]


if __name__ == "__main__":
    sys.exit(main())
