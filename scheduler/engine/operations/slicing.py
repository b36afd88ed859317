"""Slicing: the inputs of an operation, one after another, cut into tasks.

The inputs are concatenated, in their order. For n tasks over T bytes, edge k is at byte k·T/n of that concatenation,
and what lies between two edges is a *slice*: ranges of one or more objects. Edges are bytes, so nothing is read here.
The agent makes lines of them, by one rule: *the range [a, b) of an object owns the lines that begin in it.* So two
neighbours agree about a line across their edge without a word to each other, and each line belongs to one task.

Some objects are not cut: compressed ones, and all of them if each object is a task. There an edge moves to the
object's end. Edges that it passes on the way count no more: there are fewer slices than were wanted.

The cut is made range by range: a `Cursor` says where it stands, and the same objects and the same cursor always give
the same ranges. So it can be made in pages, and a supervisor that dies in between loses nothing.

Where slices are so small that bytes would cut many lines in one, lines are counted first, in ranges of about 1 MiB (an
*index*), and the edges are put at lines: `by_lines`. An edge is then a range of the index and a number of lines to
skip in it, which the agent turns into a byte. So the number of tasks is exact while there is a line for each.

Example: objects of 10, 0 and 20 bytes, 3 tasks: edges at 0, 10, 20, 30, slices [a 0-10], [c 0-10], [c 10-20].
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

WHOLE_SUFFIXES = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".Z")
WHOLE_TYPES = ("application/gzip", "application/x-gzip", "application/zstd", "application/x-xz", "application/x-bzip2")


@dataclass(frozen=True, slots=True)
class Pin:
    """An input, by its place among all inputs. `cuttable`: it may be divided between tasks."""

    seq: int
    size: int
    cuttable: bool = True


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of one input, in the slice of a `number` from 0. `last`: it is the last range of its slice."""

    number: int
    pin: int
    start: int
    length: int
    last: bool


@dataclass(frozen=True, slots=True)
class Want:
    """The cut that is wanted: `tasks` slices of `total` bytes; or, with None, a task for each object.

    `most`: the ranges of one slice at most, whatever its bytes.
    """

    total: int
    tasks: int | None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the cut is: the input that is next and the byte in it, the bytes before it, and the slices so far.

    `held`: the ranges of the slice that is open.
    """

    seq: int = 0
    offset: int = 0
    before: int = 0
    slices: int = 0
    held: int = 0


def is_cuttable(name: str, content_type: str | None) -> bool:
    """Whether an object may be divided at its lines: what is compressed has none."""
    return not name.endswith(WHOLE_SUFFIXES) and content_type not in WHOLE_TYPES


def wanted(total: int, objects: int, tasks: int | None, size: int, per_object: bool) -> Want:
    """The cut of `total` bytes in `objects` inputs: into `tasks`, else into as many as slices of `size` need."""
    if per_object:
        return Want(total, None)
    return Want(total, tasks or max(1, -(-total // size)))


def needs_index(total: int, tasks: int, size: int) -> bool:
    """Whether lines are counted first: slices would be smaller than the ranges of an index, on an average."""
    return total < tasks * size


def count(want: Want, objects: int) -> int:
    """The number of tasks at most."""
    return objects if want.tasks is None else min(want.tasks, want.total)


def cut(want: Want, cursor: Cursor, pins: Iterable[Pin]) -> Iterator[tuple[Range | None, Cursor]]:
    """The ranges of the inputs from the cursor on, each with the cursor after it; None for an input without any."""
    for pin in pins:
        following = Cursor(pin.seq + 1, 0, cursor.before + pin.size, cursor.slices, cursor.held)
        if want.tasks is None:
            cursor = replace(following, slices=cursor.slices + 1)
            yield Range(cursor.slices - 1, pin.seq, 0, pin.size, last=True), cursor
            continue
        if pin.size == 0:
            cursor = following
            yield None, cursor
        while cursor.seq == pin.seq:
            found = _next_range(want, want.tasks, cursor, pin)
            reached = found.start + found.length
            at = following if reached == pin.size else replace(cursor, offset=reached)
            cursor = replace(at, slices=cursor.slices + found.last, held=0 if found.last else cursor.held + 1)
            yield found, cursor


def _next_range(want: Want, tasks: int, cursor: Cursor, pin: Pin) -> Range:
    """The range that begins at the cursor: up to the next edge or the object's end."""
    at, end = cursor.before + cursor.offset, cursor.before + pin.size
    edge = _edge_after(want.total, tasks, at)
    stop = end if edge >= end or not pin.cuttable else edge
    full = want.most is not None and cursor.held + 1 >= want.most
    return Range(cursor.slices, pin.seq, cursor.offset, stop - at, last=stop >= edge or full)


def _edge_after(total: int, tasks: int, at: int) -> int:
    """The first edge beyond byte `at`, of the edges k·T/n."""
    number = at * tasks // total + 1
    while (edge := number * total // tasks) <= at:
        number += 1
    return edge


# By lines.


@dataclass(frozen=True, slots=True)
class Counted:
    """A range of the index, in which so many lines begin."""

    length: int
    lines: int


@dataclass(frozen=True, slots=True)
class LineRange:
    """Lines of one range of the index, in the slice of a `number`: from line `skip` of it up to line `upto`.

    `upto` of None: up to its end. `last`: it is the last one of its slice.
    """

    number: int
    skip: int
    upto: int | None
    last: bool


@dataclass(frozen=True, slots=True)
class LineCursor:
    """How far the cut at lines is: the lines before the next range of the index, and those of it that are cut."""

    before: int = 0
    skip: int = 0


def by_lines(total: int, tasks: int, cursor: LineCursor, counted: Counted) -> Iterator[tuple[LineRange, LineCursor]]:
    """The slices' shares in one range of an index of `total` lines, from the cursor on, each with the cursor after it.

    `tasks` is at most `total`: so every slice has a line.
    """
    end = cursor.before + counted.lines
    at = cursor.before + cursor.skip
    while at < end:
        number = bisect_right(range(tasks), at, key=lambda slice_number: slice_number * total // tasks) - 1
        edge = (number + 1) * total // tasks
        stop = min(edge, end)
        upto = None if stop == end else stop - cursor.before
        after = LineCursor(end) if stop == end else LineCursor(cursor.before, stop - cursor.before)
        yield LineRange(number, at - cursor.before, upto, last=stop == edge), after
        at = stop
