"""kill -9 of the whole service at a random instant of an operation, again and again.

    python tests/stress/kills/kill_operations.py [--rounds 40] [--lines 200000] [--tasks 40] [--seed N]

Each round runs an operation (map into a set, map into one object, a merge that links, one that combines, one of sorted
inputs, an append, a sort in one task and in many, a map_reduce, a reduce of sorted inputs and an erase), kills every
process of the service at once after a random part of the time that an undisturbed one takes, starts the service again
on the same state, and waits. Then the target must hold exactly what an undisturbed run leaves; and whenever it was
looked at before the operation was `completed`, it must have been unchanged. At the end nothing may be left: no process,
no mount, no cgroup, no instance's directory, no blob without a name.

Exit status 0 if every round held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from cli.client import objects
from cli.client.jobs import Jobs
from cli.client.problem import Refused
from tests.support.leftovers import assert_nothing_left, unnamed_blobs
from tests.support.services.objects import client
from tests.support.services.service import Service

WAIT_SECONDS = 300
PARTS = 4


@dataclass(frozen=True)
class Shape:
    """One kind of operation: its document, how its target is prepared, and what it must hold at the end."""

    name: str
    document: dict[str, Any]
    before: Callable[[Stress], None]
    after: Callable[[Stress], bytes]
    ordered: bool = True  # else the lines may be in any order

    def is_right(self, stress: Stress, found: bytes) -> bool:
        expected = self.after(stress)
        return found == expected if self.ordered else sorted(found.splitlines()) == sorted(expected.splitlines())


class Stress:
    """One service, its inputs, and the target of all operations."""

    def __init__(self, service: Service, lines: int) -> None:
        self.service = service
        each = lines // PARTS
        self.parts = [
            b"".join(b"line %d\n" % n for n in range(each * part, each * (part + 1))) for part in range(PARTS)
        ]
        with client(service) as session:
            self.stor = f"/{session.settings.account}/stor"
            for directory in ("in", "set"):
                objects.make_directory(session, f"{self.stor}/{directory}")
            for number, part in enumerate(self.parts):
                session.call("PUT", f"{self.stor}/in/{number}", body=part)

    @property
    def all(self) -> bytes:
        return b"".join(self.parts)

    def put(self, name: str, data: bytes) -> None:
        with client(self.service) as session:
            session.call("PUT", f"{self.stor}/{name}", body=data)

    def clear(self) -> None:
        """Leave one part in the set, and no object."""
        with client(self.service) as session:
            for entry in list(objects.entries(session, f"{self.stor}/set")):
                objects.remove(session, f"{self.stor}/set/{entry['name']}")
        self.put("set/part-000000", b"first\n")
        self.put("one", b"old\n")

    def target(self, set_of_parts: bool) -> bytes:
        """What a reader of the target sees now."""
        with client(self.service) as session:
            if not set_of_parts:
                return session.call("GET", f"{self.stor}/one").content
            found = []
            for entry in list(objects.entries(session, f"{self.stor}/set")):
                try:
                    reply = session.call("GET", f"{self.stor}/set/{entry['name']}")
                except Refused as error:
                    if error.status != 404:
                        raise
                    return self.target(set_of_parts)  # it was published while it was read
                if reply.headers["etag"].strip('"') != entry["etag"]:
                    return self.target(set_of_parts)
                found.append(reply.content)
            return b"".join(found)

    def shapes(self, tasks: int) -> list[Shape]:
        inputs = [f"{self.stor}/in/"]
        into = {"path": f"{self.stor}/set/", "mode": "replace"}
        more = {"path": f"{self.stor}/set/", "mode": "append"}
        script = {"exec": "cat", "task_count": tasks}
        whole = {"path": f"{self.stor}/one"}

        def document(
            kind: str, output: dict[str, str] | None, spec: dict[str, Any], given: list[str]
        ) -> dict[str, Any]:
            return {"type": kind, "inputs": given, "spec": spec, **({"output": output} if output else {})}

        everything: Callable[[Stress], bytes] = lambda stress: stress.all  # noqa: E731
        return [
            Shape("map to a set", document("map", into, script, inputs), Stress.clear, everything),
            Shape("map to an object", document("map", whole, script, inputs), Stress.clear, everything),
            Shape("merge by links", document("merge", into, {}, inputs), Stress.clear, everything),
            Shape(
                "merge that combines",
                document("merge", into, {"combine": True, "part_size": 300_000}, inputs),
                Stress.clear,
                everything,
            ),
            Shape(
                "append", document("map", more, script, inputs), Stress.clear, lambda stress: b"first\n" + stress.all
            ),
            Shape(
                "sort",
                document("sort", whole, {"flags": "r"}, inputs),
                Stress.clear,
                lambda stress: b"".join(sorted(stress.all.splitlines(keepends=True), reverse=True)),
            ),
            Shape(
                "sort in partitions",
                document("sort", into, {"partition_count": 7, "task_size": 300_000, "flags": "r"}, inputs),
                Stress.clear,
                lambda stress: b"".join(sorted(stress.all.splitlines(keepends=True), reverse=True)),
            ),
            Shape(
                "map_reduce",
                document(
                    "map_reduce",
                    whole,
                    {
                        "mapper": {"exec": "sed 's/$/ x/'"},
                        "combiner": {"exec": "cat"},
                        "reducer": {"exec": "cut -d' ' -f1,2"},
                        "reduce_by": ["2,2n"],
                        "partition_count": 7,
                        "task_size": 300_000,
                    },
                    inputs,
                ),
                Stress.clear,
                everything,
                ordered=False,
            ),
            Shape(
                "merge of sorted inputs",
                document("merge", into, {"mode": "sorted", "sort_by": ["2,2n"], "partition_count": 5}, inputs),
                Stress.clear,
                everything,
            ),
            Shape(
                "reduce",
                document(
                    "reduce",
                    whole,
                    {"exec": "cat", "reduce_by": ["2,2n"], "task_count": 7, "sorted_output": True},
                    inputs,
                ),
                Stress.clear,
                everything,
            ),
            Shape(
                "erase",
                document("erase", None, {"lines": "2-3"}, [f"{self.stor}/one"]),
                lambda stress: (stress.clear(), stress.put("one", b"a\nb\nc\nd\n"))[0],
                lambda stress: b"a\nd\n",
            ),
        ]

    def submit(self, shape: Shape) -> str:
        with client(self.service) as session:
            return Jobs(session).create(json.dumps(shape.document).encode())

    def finish(self, job: str, shape: Shape, old: bytes) -> None:
        """Wait for the end. Until then the target is what it was."""
        deadline = time.monotonic() + WAIT_SECONDS
        set_of_parts = shape.document.get("output", {}).get("path", "").endswith("/")
        while True:
            seen = self.target(set_of_parts)
            with client(self.service) as session:
                status = Jobs(session).status(job)
            if status["state"] == "done":
                assert status["status"] == "completed", status
                assert shape.is_right(self, self.target(set_of_parts)), f"{shape.name}: the target is wrong"
                return
            assert seen == old, f"{shape.name}: the target changed before the operation had completed"
            assert time.monotonic() < deadline, f"job {job} hangs: {status}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "state").start()
        try:
            rounds(service, draw, options)
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
        unnamed = unnamed_blobs(service.state_dir)
        assert not unnamed, f"{len(unnamed)} blobs without a name: {unnamed[:5]}"
    print(f"{options.rounds} kills, every operation right, nothing left behind")
    return 0


def rounds(service: Service, draw: random.Random, options: argparse.Namespace) -> None:
    stress = Stress(service, options.lines)
    undisturbed: dict[str, float] = {}
    shapes = stress.shapes(options.tasks)
    for number in range(len(shapes) + options.rounds):
        shape = shapes[number % len(shapes)]
        shape.before(stress)
        old = stress.target(shape.document.get("output", {}).get("path", "").endswith("/"))
        started = time.monotonic()
        job = stress.submit(shape)
        if number < len(shapes):
            stress.finish(job, shape, old)
            undisturbed[shape.name] = time.monotonic() - started
            print(f"undisturbed {shape.name}: {undisturbed[shape.name]:.1f} s", flush=True)
            continue
        instant = draw.random() * undisturbed[shape.name]
        time.sleep(instant)
        service.kill()
        service.start()
        stress.finish(job, shape, old)
        print(f"round {number - len(shapes) + 1}, {shape.name}: killed after {instant:.2f} s, right", flush=True)


if __name__ == "__main__":
    sys.exit(main())
