"""Slicing: the inputs of an operation, one after another, cut into tasks.

The inputs are concatenated, in their order. For n tasks over T bytes, edge k is at byte k·T/n of that concatenation,
and what lies between two edges is a *slice*: ranges of one or more objects. Edges are bytes, so nothing is read here.
The agent makes lines of them, by one rule: *the range [a, b) of an object owns the lines that begin in it.* So two
neighbours agree about a line across their edge without a word to each other, and each line belongs to one task.

Some objects are not cut: compressed ones, and all of them if each object is a task. There an edge moves to the
object's end. Edges that it passes on the way count no more: there are fewer slices than were wanted.

The cut is made range by range: a `Cursor` says where it stands, and the same objects and the same cursor always give
the same ranges. So it can be made in pages, and a supervisor that dies in between loses nothing.

Example: objects of 10, 0 and 20 bytes, 3 tasks: edges at 0, 10, 20, 30, slices [a 0-10], [c 0-10], [c 10-20].
"""

from __future__ import annotations

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
    """The cut that is wanted: `tasks` slices of `total` bytes; or, with None, a task for each object."""

    total: int
    tasks: int | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the cut is: the input that is next and the byte in it, the bytes before it, and the slices so far."""

    seq: int = 0
    offset: int = 0
    before: int = 0
    slices: int = 0


def is_cuttable(name: str, content_type: str | None) -> bool:
    """Whether an object may be divided at its lines: what is compressed has none."""
    return not name.endswith(WHOLE_SUFFIXES) and content_type not in WHOLE_TYPES


def wanted(total: int, objects: int, tasks: int | None, size: int, per_object: bool) -> Want:
    """The cut of `total` bytes in `objects` inputs: into `tasks`, else into as many as slices of `size` need."""
    if per_object:
        return Want(total, None)
    return Want(total, tasks or max(1, -(-total // size)))


def count(want: Want, objects: int) -> int:
    """The number of tasks at most."""
    return objects if want.tasks is None else min(want.tasks, want.total)


def cut(want: Want, cursor: Cursor, pins: Iterable[Pin]) -> Iterator[tuple[Range | None, Cursor]]:
    """The ranges of the inputs from the cursor on, each with the cursor after it; None for an input without any."""
    for pin in pins:
        following = Cursor(pin.seq + 1, 0, cursor.before + pin.size, cursor.slices)
        if want.tasks is None:
            cursor = replace(following, slices=cursor.slices + 1)
            yield Range(cursor.slices - 1, pin.seq, 0, pin.size, last=True), cursor
            continue
        if pin.size == 0:
            cursor = following
            yield None, cursor
        while cursor.seq == pin.seq:
            found = _next_range(want.total, want.tasks, cursor, pin)
            slices = cursor.slices + found.last
            reached = found.start + found.length
            done = reached == pin.size
            cursor = replace(following, slices=slices) if done else replace(cursor, offset=reached, slices=slices)
            yield found, cursor


def _next_range(total: int, tasks: int, cursor: Cursor, pin: Pin) -> Range:
    """The range that begins at the cursor: up to the next edge or the object's end."""
    at, end = cursor.before + cursor.offset, cursor.before + pin.size
    edge = _edge_after(total, tasks, at)
    stop = end if edge >= end or not pin.cuttable else edge
    return Range(cursor.slices, pin.seq, cursor.offset, stop - at, last=stop >= edge)


def _edge_after(total: int, tasks: int, at: int) -> int:
    """The first edge beyond byte `at`, of the edges k·T/n."""
    number = at * tasks // total + 1
    while (edge := number * total // tasks) <= at:
        number += 1
    return edge
