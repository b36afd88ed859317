"""Planning: the tasks of a stage, made page by page from what was pinned, ahead of the agents that run them.

How far the cut has come is in the stage's row (`engine.operations.slicing.Cursor`), in the same transaction as the
tasks. A task that reads one whole object gets it as a file. Any other reads ranges of objects through a pipe: each is a
row of `task_inputs`, and the task waits until its last range is recorded, which may take more than one page.

A stage without a cut reads all outputs of the stage before, in their order, in one task; a single output needs none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any

from scheduler.common.ids import new_id
from scheduler.engine.operations import slicing
from scheduler.engine.operations.slicing import Cursor, Pin, Range, Want, is_cuttable, wanted
from scheduler.engine.operations.status import Event
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.document import MAX_TASKS, Cut
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import ending

# Ranges of inputs that one transaction makes tasks of.
PAGE = 500
MIB = 1 << 20


def plan_page(c: Connection, live: LiveJob, now: int) -> Changes:
    """Make a page of tasks of the stage whose turn it is. An operation that links its inputs has no tasks."""
    operation, changes = live.spec.operation, Changes()
    assert operation is not None
    writer = JobWriter(c, live, changes, now)
    stage = writer.stage
    if operation.links:
        c.run("link_pins", job=live.id)
    elif stage is not None and (cut := operation.stages[stage].cut) is None:
        _join(c, live, writer, stage)
    elif stage is not None and cut is not None:
        want = wanted(writer.row["pinned_bytes"], writer.row["pins"], cut.tasks, cut.size, cut.per_object)
        if problem := too_many(want, writer.row["pins"], cut):
            writer.close()
            return ending.fail(c, live, changes, now, JobErrorCode.INVALID_ARGUMENT, problem)
        _Page(c, live, writer, stage, want).plan()
    writer.happened(Event.PLANNED)
    writer.close()
    return changes


def too_many(want: Want, objects: int, cut: Cut) -> str | None:
    """The problem with the number of tasks, if there would be too many."""
    tasks = slicing.count(want, objects)
    if tasks <= MAX_TASKS:
        return None
    size = -(-want.total // (MAX_TASKS * MIB))
    advice = "let it cut its input by bytes" if cut.per_object else f"give task_size {size} MiB or more"
    return f"the operation would have {tasks:,} tasks, of at most {MAX_TASKS:,}: {advice}"


def _join(c: Connection, live: LiveJob, writer: JobWriter, stage: int) -> None:
    """Make the task that reads all outputs of the stage before, unless there is one at most."""
    found, pool = c.one("count_staged", job=live.id, stage=stage - 1), live.pools[stage]
    if found is not None and found["n"] > 1:
        task = c.insert("insert_fed_task", uuid=new_id(), pool=pool, number=0)
        inputs = c.run("feed_staged", task=task, job=live.id, stage=stage - 1)
        c.run("inputs_arrived", task=task, arrived=inputs)
        writer.planned(pool, 1, ready=1)
    else:
        c.run("move_staged", job=live.id, stage=stage - 1)
    c.run("set_cursor", pool=pool, cursor=None, planned=1)


@dataclass
class _Page:
    """One page of the cut of a stage's input."""

    c: Connection
    live: LiveJob
    writer: JobWriter
    stage: int
    want: Want
    files: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0  # tasks that were made
    ready: int = 0  # tasks whose input is complete

    def plan(self) -> None:
        pool, cursor = self.live.pools[self.stage], self._cursor()
        rows = self.c.all("pins_page", job=self.live.id, first=cursor.seq, limit=PAGE)
        pins = {row["seq"]: row for row in rows}
        cut = slicing.cut(self.want, cursor, [_pin(row) for row in rows])
        slices, cursor = _slices(cut, cursor)
        for at, group in enumerate(slices):
            self._slice(pool, group, pins, may_be_open=at == 0)
        done = len(rows) < PAGE and (not rows or cursor.seq > rows[-1]["seq"])
        self.c.many("insert_file_task", self.files)
        self.c.many("insert_range", self.ranges)
        self.c.run("set_cursor", pool=pool, cursor=json.dumps(astuple(cursor)), planned=int(done))
        self.writer.planned(pool, self.begun, self.ready + len(self.files))

    def _cursor(self) -> Cursor:
        row = self.c.all("phases_of_job", job=self.live.id)[self.stage]
        return Cursor(*json.loads(row["cursor"])) if row["cursor"] else Cursor()

    def _slice(self, pool: int, group: Sequence[Range], pins: Mapping[int, Row], may_be_open: bool) -> None:
        """Record the ranges of a slice, or those that this page has of it; the page before may have begun it."""
        number, first = group[0].number, pins[group[0].pin]
        open_task = self.c.one("open_task", pool=pool, number=number) if may_be_open else None
        if open_task is None:
            self.begun += 1
            if len(group) == 1 and group[0].last and group[0].length == first["size"]:
                self.files.append(_file(pool, number, first))
                return
        task = (
            open_task["id"] if open_task else self.c.insert("insert_fed_task", uuid=new_id(), pool=pool, number=number)
        )
        counted = self.c.one("ranges_of", task=task) if open_task else None
        before: int = counted["n"] if counted else 0
        self.ranges += [_range(task, seq, each, pins[each.pin]) for seq, each in enumerate(group, before + 1)]
        if group[-1].last:
            self.c.run("inputs_arrived", task=task, arrived=before + len(group))
            self.ready += 1


def _slices(cut: Iterator[tuple[Range | None, Cursor]], cursor: Cursor) -> tuple[list[list[Range]], Cursor]:
    """At most `PAGE` ranges of a cut, those of each slice together, and the cursor after them."""
    slices: list[list[Range]] = [[]]
    for found, following in islice(cut, PAGE):
        cursor = following
        if found is not None:
            slices[-1].append(found)
            if found.last:
                slices.append([])
    return [group for group in slices if group], cursor


def _pin(row: Row) -> Pin:
    return Pin(row["seq"], row["size"], is_cuttable(row["name"], row["type"]))


def _file(pool: int, number: int, row: Row) -> dict[str, Any]:
    identity = {"uuid": new_id(), "pool": pool, "number": number}
    return identity | {"input": row["name"], "blob": row["blob"], "size": row["size"], "md5": row["md5"]}


def _range(task: int, seq: int, each: Range, row: Row) -> dict[str, Any]:
    where = {"start": each.start, "length": each.length}
    return {"task": task, "seq": seq, "name": row["name"], "blob": row["blob"], "size": row["size"]} | where
