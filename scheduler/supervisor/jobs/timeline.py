"""The timeline of a job: when and where its tasks ran, in a form that is small enough for the archive.

A task becomes ready, is leased to an agent, starts in an instance, ends, and is committed: five moments, which divide
its life into queue, fetch (of input, and of an instance), run and commit. The records have them for a day; the archive
keeps them in `usage.json`, as rows of numbers. Of a job with more than `MOST` tasks every n-th is kept, so that a
timeline is bounded, and it says of how many tasks it is.

Example of a row: `[0, "c", 1, 4, 120, 3, 8, 1500, 2, 900]`: phase 0, committed, node 1, instance 4 of the lists; ready
120 ms after the job was created, leased 3 ms later, started after 8 ms more, ran 1500 ms, was committed 2 ms after;
900 ms of processor time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scheduler.records.database import Connection, Row

MOST = 20_000
SLOWEST = 50
LETTERS = {"committed": "c", "failed": "f"}
STATES = {letter: state for state, letter in LETTERS.items()}


class TaskRun(NamedTuple):
    """A task that has run. Times are ms since the epoch, in this order; `cpu_ms` is its processor time.

    `uuid` and `input` may be empty in a timeline from an archive.
    """

    phase: int
    state: str
    node: str
    instance: str
    ready: int
    leased: int
    started: int
    ended: int
    done: int
    cpu_ms: int = 0
    uuid: str = ""
    input: str = ""

    @property
    def queue(self) -> int:
        return self.leased - self.ready

    @property
    def fetch(self) -> int:
        return self.started - self.leased

    @property
    def run(self) -> int:
        return self.ended - self.started

    @property
    def commit(self) -> int:
        return self.done - self.ended


@dataclass(frozen=True, slots=True)
class Timeline:
    """The tasks of a job that have run, or a sample of them: `of` is the number of all tasks that were made."""

    runs: Sequence[TaskRun]
    of: int

    @property
    def sampled(self) -> bool:
        return self.of > MOST


def timeline(c: Connection, row: Row) -> Timeline:
    """The timeline of a row of `jobs`."""
    totals = c.one("job_totals", job=row["id"])
    tasks = int(totals["tasks"]) if totals is not None else 0
    stride = -(-tasks // MOST) or 1
    return Timeline([run_of(task) for task in c.each("runs_of_job", job=row["id"], stride=stride)], tasks)


def run_of(row: Row) -> TaskRun:
    """The run of a row of `tasks`."""
    ran, usage = json.loads(f"[{row['ran']},{row['usage']}]")
    cpu_ms = (usage["user_us"] + usage["sys_us"]) // 1000
    where = ran["node"] or "", ran["instance"] or ""
    return TaskRun(
        row["phase"], row["state"], *where, ran["ready"], ran["leased"], ran["started"], ran["ended"], ran["done"],
        cpu_ms, row["uuid"], row["input"] or "",
    )  # fmt: skip


def packed(found: Timeline, created: int) -> dict[str, Any]:
    """A timeline as JSON. `created`: when the job was, in ms since the epoch."""
    nodes = list(dict.fromkeys(run.node for run in found.runs))
    instances = list(dict.fromkeys(run.instance for run in found.runs))
    node_at, instance_at = ({name: at for at, name in enumerate(names)} for names in (nodes, instances))
    slowest = sorted(range(len(found.runs)), key=lambda at: found.runs[at].run, reverse=True)[:SLOWEST]
    return {
        "of": found.of,
        "nodes": nodes,
        "instances": instances,
        "columns": ["phase", "state", "node", "instance", "ready", "queue", "fetch", "run", "commit", "cpu"],
        "rows": [
            [
                *(run.phase, LETTERS.get(run.state, run.state), node_at[run.node], instance_at[run.instance]),
                *(run.ready - created, run.queue, run.fetch, run.run, run.commit, run.cpu_ms),
            ]
            for run in found.runs
        ],
        "slowest": {str(at): [found.runs[at].uuid, found.runs[at].input] for at in slowest},
    }


def unpacked(document: Mapping[str, Any], created: int) -> Timeline:
    """The timeline that `packed` made into JSON."""
    nodes, instances, slowest = document["nodes"], document["instances"], document["slowest"]
    return Timeline(list(_runs(document["rows"], nodes, instances, slowest, created)), document["of"])


def _runs(
    rows: Iterable[Sequence[Any]],
    nodes: Sequence[str],
    instances: Sequence[str],
    slowest: Mapping[str, Sequence[str]],
    created: int,
) -> Iterable[TaskRun]:
    for at, (phase, state, node, instance, ready, queue, fetch, run, commit, cpu) in enumerate(rows):
        first = created + ready
        leased, started, ended = first + queue, first + queue + fetch, first + queue + fetch + run
        uuid, name = slowest.get(str(at), ("", ""))
        where = nodes[node], instances[instance]
        yield TaskRun(
            phase, STATES.get(state, state), *where, first, leased, started, ended, ended + commit, cpu, uuid, name
        )  # fmt: skip
