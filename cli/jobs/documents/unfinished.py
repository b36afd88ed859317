"""The inputs of a job that have no result: what a job that was cancelled has still to do.

The errors of a cancelled job name only the inputs whose tasks were running. So what is left is told by the tasks: an
input has its result once each task that descends from it is done. A reducer reads from all inputs, so that of a job
with a reduce phase that was cancelled no input has its result.

Example: 500 inputs, 177 of their tasks done when the job was cancelled, one of them of an input that was added
twice: 323 inputs are left, that input once among them. With a second map phase the 170 are done of which all tasks
of that phase are done too.

The names are kept in a temporary file, since they may be millions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cli.client.problem import NoSuchJob, Problem

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

SCHEMA = "CREATE TABLE seen (name BLOB PRIMARY KEY, done INTEGER, open INTEGER) WITHOUT ROWID"
COUNT = """INSERT INTO seen VALUES (:name, :done, :open)
    ON CONFLICT (name) DO UPDATE SET done = done + :done, open = open + :open"""
TAKE = "UPDATE seen SET done = done - 1 WHERE name = ? AND done > 0 AND open = 0"


def of_job(mine: Jobs, job: str, status: Status) -> Iterator[bytes]:
    """The names of inputs without a result, in the order of the inputs. Raises `Problem` if that is not known."""
    inputs = mine.records(job, "in")
    if any(phase["type"] == "reduce" for phase in status["phases"]):
        return inputs
    try:
        return left(inputs, mine.tasks(job))
    except NoSuchJob:
        raise Problem(
            f"which inputs of the cancelled job {job} have a result is known for a day only: "
            "without --failed all of them are run again"
        ) from None


def left(inputs: Iterable[bytes], tasks: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """`inputs` without those for which `tasks`, which are looked at now, have been done."""
    seen = sqlite3.connect("")
    seen.execute(SCHEMA)
    for task in tasks:
        name = str(task.get("p0input") or task.get("input", "")).encode("utf-8", "surrogateescape")
        done = task["state"] == "done"
        seen.execute(
            COUNT, {"name": name, "done": done and task["phaseNum"] == 0, "open": not done and task["phaseNum"] > 0}
        )
    return _without(inputs, seen)


def _without(inputs: Iterable[bytes], seen: sqlite3.Connection) -> Iterator[bytes]:
    with closing(seen):
        for name in inputs:
            if not seen.execute(TAKE, (name,)).rowcount:
                yield name
