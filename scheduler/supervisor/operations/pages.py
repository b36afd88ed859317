"""Pages of tasks: what one transaction makes of what was pinned, and how far the cut has come.

The cursor is in the stage's row, in the same transaction as the tasks. A task that reads one whole object gets it as a
file, unless its lines are looked at on the way. Any other reads ranges of objects through a pipe: each is a row of
`task_inputs`, and the task waits until its last range is recorded, which may take more than one page. A task that reads
a partition has no inputs of its own (`shuffling`), and is ready at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any

from scheduler.common.ids import new_id
from scheduler.engine.operations import sampling, slicing
from scheduler.engine.operations.sampling import SampleCursor
from scheduler.engine.operations.slicing import (
    Counted,
    Cursor,
    LineCursor,
    LineRange,
    Pin,
    Range,
    Want,
    is_cuttable,
)
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.writer import JobWriter

# Ranges of inputs that one transaction makes tasks of.
PAGE = 500


@dataclass
class Page:
    """One page of the tasks of a stage."""

    c: Connection
    live: LiveJob
    writer: JobWriter
    stage: int

    def __post_init__(self) -> None:
        self.pool = self.live.pools[self.stage]
        self.files: list[dict[str, Any]] = []
        self.ranges: list[dict[str, Any]] = []
        phase = self.live.spec.phases[self.stage]
        self.headed, self.bounds_lines = phase.headed, phase.bounds_lines
        self.begun = 0  # tasks that were made
        self.ready = 0  # tasks whose input is complete

    def cursor(self) -> list[int] | None:
        """The recorded cursor; None at the beginning."""
        text = self.c.all("phases_of_job", job=self.live.id)[self.stage]["cursor"]
        return None if text is None else list(json.loads(text))

    def lines_of(self, row: Row, start: int, length: int) -> dict[str, Any]:
        """The columns of a range of an object, without the header of the object if its tasks are not to read it."""
        return range_of(row, start, length, skip=1 if self.headed and start == 0 else None)

    def file(self, number: int, row: Row) -> None:
        """Make a task that reads a whole object."""
        identity = {"uuid": new_id(), "pool": self.pool, "number": number}
        what = {"input": row["name"], "blob": row["blob"], "size": row["size"], "md5": row["md5"]}
        self.files.append(identity | what)
        self.begun += 1

    def feed(self, number: int, ranges: Sequence[Mapping[str, Any]], last: bool, may_be_open: bool) -> None:
        """Make a task that reads ranges, or record more of its ranges if the page before has begun it."""
        known = self.c.one("open_task", pool=self.pool, number=number) if may_be_open else None
        before = 0
        if known is None:
            self.begun += 1
            task = self.c.insert("insert_fed_task", uuid=new_id(), pool=self.pool, number=number)
        else:
            task = known["id"]
            counted = self.c.one("ranges_of", task=task)
            before = counted["n"] if counted else 0
        self.ranges += [{"task": task, "seq": seq, **each} for seq, each in enumerate(ranges, before + 1)]
        if last:
            self.c.run("inputs_arrived", task=task, arrived=before + len(ranges), now=self.writer.now)
            self.ready += 1

    def write(self, cursor: Sequence[int], done: bool) -> None:
        """Write the page, and how far the cut is."""
        self.c.many("insert_file_task", [{**row, "now": self.writer.now} for row in self.files])
        self.c.many("insert_range", self.ranges)
        self.c.run("set_cursor", pool=self.pool, cursor=json.dumps(cursor), planned=int(done))
        self.writer.planned(self.pool, self.begun, self.ready + len(self.files))


@dataclass
class BytePage(Page):
    """A page of a cut at bytes. `counting`: of an index, which has ranges only."""

    want: Want
    counting: bool = False

    def plan(self) -> None:
        cursor = Cursor(*(self.cursor() or ()))
        rows = self.c.all("pins_page", job=self.live.id, first=cursor.seq, limit=PAGE)
        pins = {row["seq"]: row for row in rows}
        slices, cursor = _slices(slicing.cut(self.want, cursor, [_pin(row) for row in rows]), cursor)
        for at, group in enumerate(slices):
            first = pins[group[0].pin]
            whole = len(group) == 1 and group[0].last and group[0].length == first["size"]
            if whole and not (self.counting or self.headed or self.bounds_lines):
                self.file(group[0].number, first)
            else:
                ranges = [self._range(each, pins[each.pin]) for each in group]
                self.feed(group[0].number, ranges, group[-1].last, may_be_open=at == 0)
        self.write(astuple(cursor), done=len(rows) < PAGE and (not rows or cursor.seq > rows[-1]["seq"]))

    def _range(self, each: Range, row: Row) -> dict[str, Any]:
        """The columns of a range. What cannot be cut counts as one line."""
        lines = 1 if self.counting and not is_cuttable(row["name"], row["type"]) else None
        return self.lines_of(row, each.start, each.length) | {"lines": lines}


@dataclass
class LinePage(Page):
    """A page of a cut at lines, by the index that the stage before has made, into so many tasks."""

    tasks: int

    def plan(self) -> None:
        number, seq, before, skip = self.cursor() or (0, 0, 0, 0)
        index = self.live.pools[self.stage - 1]
        found = self.c.one("index_total", pool=index)
        total: int = found["lines"] if found else 0
        tasks, cursor = min(self.tasks, total), LineCursor(before, skip)
        rows = self.c.all("index_page", pool=index, number=number, seq=seq, limit=PAGE)
        groups: dict[int, list[dict[str, Any]]] = {}
        closed: set[int] = set()
        pieces, done = 0, len(rows) < PAGE
        for row in rows:
            cut = slicing.by_lines(total, tasks, cursor, Counted(row["length"], row["lines"] or 0))
            for piece, following in islice(cut, PAGE - pieces):
                pieces, cursor = pieces + 1, following
                groups.setdefault(piece.number, []).append(line_range_of(row, piece))
                closed |= {piece.number} if piece.last else set()
            number, seq = row["number"], row["seq"]
            if cursor.skip or pieces >= PAGE:
                done = False
                break
        if rows and not cursor.skip:
            seq += 1
        for at, (slice_number, ranges) in enumerate(groups.items()):
            self.feed(slice_number, ranges, slice_number in closed, may_be_open=at == 0)
        self.write((number, seq, *astuple(cursor)), done)


@dataclass
class SamplePage(Page):
    """A page of the sample, which one task reads."""

    partitions: int

    def plan(self) -> None:
        cursor = SampleCursor(*(self.cursor() or ()))
        total: int = self.writer.row["pinned_bytes"]
        blocks = sampling.blocks_of(total, self.partitions)
        rows = self.c.all("pins_page", job=self.live.id, first=cursor.seq, limit=PAGE)
        ranges: list[dict[str, Any]] = []
        begins = cursor == SampleCursor()
        for row in rows:
            found, cursor = sampling.sample(total, blocks, cursor, _pin(row), PAGE - len(ranges))
            ranges += [self.lines_of(row, each.start, each.length) for each in found]
            if len(ranges) >= PAGE:
                break
        done = cursor.block >= blocks or not rows
        self.feed(0, ranges, done, may_be_open=not begins)
        self.write(astuple(cursor), done)


@dataclass
class HeadsPage(Page):
    """A page of the first lines of all inputs, which one task reads."""

    def plan(self) -> None:
        [first] = self.cursor() or [0]
        rows = self.c.all("pins_page", job=self.live.id, first=first, limit=PAGE)
        ranges = [range_of(row, 0, 0, upto=1) for row in rows if row["size"]]
        done = len(rows) < PAGE
        self.feed(0, ranges, done, may_be_open=first > 0)
        self.write([first + len(rows)], done)


@dataclass
class PartitionPage(Page):
    """A page of the tasks that read one partition each."""

    partitions: int

    def plan(self) -> None:
        [first] = self.cursor() or [0]
        after = min(first + PAGE, self.partitions)
        tasks = [{"uuid": new_id(), "pool": self.pool, "number": number} for number in range(first, after)]
        self.c.many("insert_partition_task", tasks)
        self.begun, self.ready = len(tasks), len(tasks)
        self.write([after], done=after == self.partitions)


def range_of(row: Row, start: int, length: int, skip: int | None = None, upto: int | None = None) -> dict[str, Any]:
    """The columns of a range of an object."""
    edges = {"start": start, "length": length, "skip": skip, "upto": upto, "lines": None}
    return {"name": row["name"], "blob": row["blob"], "size": row["size"]} | edges


def line_range_of(row: Row, piece: LineRange) -> dict[str, Any]:
    """The columns of a slice's share in a range of the index: up to its end, or so many lines behind its start."""
    length = row["length"] if piece.upto is None else 0
    return range_of(row, row["start"], length, piece.skip, piece.upto or 0)


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
