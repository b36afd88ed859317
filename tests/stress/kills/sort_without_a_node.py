"""A sort of many partitions on three nodes, one of which dies between partition and sort.

    python tests/stress/kills/sort_without_a_node.py [--bytes 2000000000] [--partitions 16] [--seed N]

A gateway, a supervisor and three agents as processes, over one PostgreSQL; no root. Log lines in eight objects are
sorted; when all of them have been divided, and before their partitions are sorted, a node that has shuffle files is
killed for good, with all that runs there. What it had is made again by the others, and nothing else is; the parts one
after another must be the bytes of `LC_ALL=C sort`.

Exit status 0 if they are. The seed is printed, so that the lines and the choice can be repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.support.services.postgres import DURABLE, server
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User

OBJECTS = 8
WAIT_SECONDS = 900
PIECE = 100_000  # lines that are written at once
KEYS = ("-k3,3n", "-k1,2")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    told = parser.parse_args()
    print(f"seed {told.seed}", flush=True)
    chance = random.Random(told.seed)
    with (
        tempfile.TemporaryDirectory() as place,
        server(DURABLE) as postgres,
        clustered(Path(place), postgres, nodes=3) as cluster,
        cluster.user() as user,
    ):
        user.patience = WAIT_SECONDS
        files = [write(Path(place) / f"text{number}", chance, told.bytes // OBJECTS) for number in range(OBJECTS)]
        paths = [user.put(file.name, file.read_bytes()) for file in files]
        started = time.monotonic()
        job = submit(user, paths, told.partitions)
        lost = kill_between(cluster, user, job)
        print(f"divided after {time.monotonic() - started:.1f} s; {lost} is dead", flush=True)
        status = user.wait(job, lambda seen: seen["state"] == "done")
        print(f"{status['status']} after {time.monotonic() - started:.1f} s: {summary(status)}", flush=True)
        assert status["status"] == "completed", status
        found, expected = digest(parts_of(user, job)), digest(sorted_by_gnu(files, place))
    print(f"{found} of the parts, {expected} of sort")
    return int(found != expected)


def write(path: Path, chance: random.Random, size: int) -> Path:
    """Write about `size` bytes of log lines."""
    with path.open("w") as file:
        while file.tell() < size:
            file.writelines(
                f"2026-11-{chance.randrange(1, 30):02} {chance.randrange(86_400):05} {chance.randrange(10**7)} "
                f"GET /api/v1/users/{chance.randrange(10**6)} 200\n"
                for _ in range(PIECE)
            )
    return path


def submit(user: User, paths: Sequence[str], partitions: int) -> str:
    spec = {"sort_by": [key.removeprefix("-k") for key in KEYS], "partition_count": partitions, "task_size": 64 << 20}
    document: dict[str, Any] = {"type": "sort", "inputs": list(paths), "spec": spec}
    return user.jobs.create(json.dumps(document).encode())


def stages(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["kind"]: stage for stage in status["progress"]["stages"]}


def kill_between(cluster: Cluster, user: User, job: str) -> str:
    """Wait until all lines are divided, kill a node that has some of them, and return its name."""
    status = user.wait(job, lambda seen: is_divided(stages(seen)["partition"]) or seen["state"] == "done")
    assert status["state"] != "done", status
    name = min(str(each["node"]) for each in user.jobs.attempts(job, stage="1", state="completed"))
    cluster.parts[name].kill()
    return name


def is_divided(stage: dict[str, Any]) -> bool:
    return bool(stage["planned"]) and 0 < stage["total"] == stage["completed"]


def summary(status: dict[str, Any]) -> str:
    return ", ".join(
        f"{kind} {stage['completed']} of {stage['total']}, aborted {stage['aborted']}, lost {stage['lost']}"
        for kind, stage in stages(status).items()
    )


def parts_of(user: User, job: str) -> Iterator[bytes]:
    for name in user.ended(job).outputs:
        yield user.get(name)


def sorted_by_gnu(files: Sequence[Path], directory: str) -> Iterator[bytes]:
    command = ["sort", "--parallel=2", "-S1G", f"-T{directory}", *KEYS, *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(1 << 20):
            yield piece
    assert process.returncode == 0


def digest(pieces: Iterator[bytes]) -> str:
    found = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
