"""Word counts by `mapreduce`, compared with the pipe; then one whose mapper throws dice while a node dies.

    python tests/stress/kills/count_words.py [--partitions 1,7,5000] [--lines 20000] [--seed N]

A gateway, a supervisor and two agents as processes, over one PostgreSQL; no root. Made-up text is counted with each
number of partitions, with a combiner and without one, and all counts must be those of `tr | sort | uniq -c`. After that
a mapper gives each line a key at random, and the node that runs the first mappers is killed for good: however often a
mapper runs again, each line of the input must be in the result once.

Exit status 0 if all of it holds. 5,000 partitions are 5,000 tasks for each count: some minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.setting import words
from tests.support.gate import Gate
from tests.support.services.postgres import DURABLE, server
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User

WAIT_SECONDS = 1800
PARTS = 8  # of the input
SPLIT = "tr -cs A-Za-z '\\n'"
SUM = "awk '{n[$2] += $1} END {for (word in n) print n[word], word}'"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", default="1,7,5000")
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    told = parser.parse_args()
    print(f"seed {told.seed}", flush=True)
    text = words(60 * told.lines, told.seed).replace(b"\n ", b"\n")  # a slice begins with a word, as the whole does
    text = text[: text.rindex(b"\n") + 1]
    with (
        tempfile.TemporaryDirectory() as place,
        server(DURABLE) as postgres,
        clustered(Path(place), postgres, nodes=2) as cluster,
        cluster.user() as user,
    ):
        user.patience = WAIT_SECONDS
        name = user.put("text", text)
        expected = counted(subprocess.run(["bash", "-c", f"{SPLIT} | sort | uniq -c"], input=text, **RUN).stdout)
        wrong = [
            (partitions, combines)
            for partitions in map(int, told.partitions.split(","))
            for combines in (False, True)
            if count(user, name, partitions, combines) != expected
        ]
        complete = throw_dice(cluster, user, name, text)
    for partitions, combines in wrong:
        print(f"WRONG with {partitions} partitions{' and a combiner' if combines else ''}")
    return int(bool(wrong) or not complete)


RUN: dict[str, Any] = {"capture_output": True, "check": True, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}


def counted(lines: bytes) -> Counter[bytes]:
    """The counts of the output of `uniq -c`, whose lines may be in any order."""
    found: Counter[bytes] = Counter()
    for line in lines.splitlines():
        number, _, word = line.strip().partition(b" ")
        found[word] += int(number)
    return found


def count(user: User, name: str, partitions: int, combines: bool) -> Counter[bytes]:
    """The words of an object, counted by an operation."""
    spec: dict[str, Any] = {
        "mapper": {"exec": SPLIT},
        "reducer": {"exec": "uniq -c"},
        "partition_count": partitions,
        "task_count": PARTS,
    }
    if combines:
        keys = {"reduce_by": ["2,2"]}
        mapper = {"exec": f"{SPLIT} | sed 's/^/1 /'"}
        spec |= keys | {"mapper": mapper, "combiner": {"exec": SUM}, "reducer": {"exec": SUM}}
    started = time.monotonic()
    status, printed = run(user, name, spec)
    how = f"{partitions} partitions{' and a combiner' if combines else ''}"
    print(f"{status} with {how} after {time.monotonic() - started:.1f} s", flush=True)
    return counted(printed)


def run(user: User, name: str, spec: dict[str, Any]) -> tuple[str, bytes]:
    """The status of a map_reduce of an object at its end, and what it has printed."""
    job = submit(user, name, spec)
    return user.ended(job).status["status"], user.get("counts")


def submit(user: User, name: str, spec: dict[str, Any]) -> str:
    output = {"path": user.path("counts"), "mode": "replace"}
    document = {"type": "map_reduce", "inputs": [name], "spec": spec, "output": output}
    return user.jobs.create(json.dumps(document).encode())


def throw_dice(cluster: Cluster, user: User, name: str, text: bytes) -> bool:
    """Whether each line is counted once though mappers run again and give it another key."""
    with Gate() as gate:
        dice = "awk 'BEGIN {srand()} {print int(rand() * 1000), $0}'"
        reducer = f"{gate.wait('reduce')}; cut -d' ' -f2-"
        spec = {"reduce_by": ["1,1n"], "partition_count": 4, "task_count": PARTS}
        spec |= {"mapper": {"exec": dice}, "reducer": {"exec": f"{{ {reducer}; }} 2>/dev/null"}}
        job = submit(user, name, spec)
        gate.arrivals(2)  # readers run, and are held up: what they read was made before
        cluster.parts["node0"].kill()
        user.wait(job, lambda status: any(each["lost"] or each["aborted"] for each in status["progress"]["stages"]))
        while user.jobs.status(job)["state"] != "done":
            gate.open()
            let_through(gate)
    status, printed = user.ended(job).status["status"], user.get("counts")
    found, expected = Counter(printed.splitlines()), Counter(text.splitlines())
    print(f"{status} with dice: {sum(found.values())} lines of {sum(expected.values())}", flush=True)
    return found == expected


def let_through(gate: Gate) -> None:
    """Let one more reader through the gate, if one comes within a second."""
    try:
        gate.arrivals(1, seconds=1)
    except TimeoutError:
        return
    gate.open()


if __name__ == "__main__":
    sys.exit(main())
