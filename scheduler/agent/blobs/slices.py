"""Slices at their lines: which bytes of its sources a task is fed.

The supervisor cuts objects at any byte. A range of an object owns the lines that begin in it, so its bytes are those
from the first line that begins in it up to the first that begins behind it. Ranges are read from the object store
itself: a copy on this node would be one of the whole object.

Where lines have been counted an edge is a byte and a number of lines behind it.

A slice that owns no line, because one long line spans it, is done before it has begun: no script runs for it.
"""

from __future__ import annotations

import os

from datapath.slices import END, count_lines, line_start, lines_behind
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import FeedSource, PoolSpec, TaskLease


def line_end_of(spec: PoolSpec) -> bytes:
    """The byte that ends the lines of what a pool's tasks read."""
    return b"\0" if spec.zero else END


def bounds(source: FeedSource, size: int, fd: int, line_end: bytes = END) -> tuple[int, int]:
    """The first byte of an open source that is fed, and the one after the last. `line_end`: the byte that ends lines.

    Raises LineTooLongError, OSError.
    """
    if source.length is None:
        return 0, size
    end = source.start + source.length
    size = source.blob.size
    return _edge(fd, source.start, source.skip, size, line_end), _edge(fd, end, source.upto, size, line_end)


def _edge(fd: int, at: int, lines: int, size: int, line_end: bytes) -> int:
    """The byte of an edge: so many lines behind the first line that begins at `at` or after it."""
    start = line_start(fd, at, size, line_end)
    return lines_behind(fd, start, size, lines, line_end) if lines else start


def lines_of(lease: TaskLease, stores: Stores) -> list[int]:
    """The number of lines that each source of a task owns. Raises LineTooLongError, OSError. In a thread."""
    return [_lines(source, stores) for source in lease.feed.sources] if lease.feed else []


def _lines(source: FeedSource, stores: Stores) -> int:
    fd = stores.open_in_thread(source.blob)
    try:
        return count_lines(fd, *bounds(source, source.blob.size, fd))
    finally:
        os.close(fd)


def owns_no_line(lease: TaskLease, stores: Stores, line_end: bytes = END) -> bool:
    """Whether a task has nothing to read, as far as its lease tells. Reads files, so it runs in a thread.

    What cannot be read is found by the feed.
    """
    if lease.feed is None or not lease.feed.end:
        return False
    return all(_is_empty(source, stores, line_end) for source in lease.feed.sources)


def _is_empty(source: FeedSource, stores: Stores, line_end: bytes) -> bool:
    if source.part is not None:
        return False  # what a partition holds is found when it is fed
    if source.length is None or (source.start == 0 and not source.skip):
        return source.blob.size == 0  # the first line begins at its first byte
    try:
        fd = stores.open_in_thread(source.blob)
    except OSError:
        return False
    try:
        start, end = bounds(source, source.length, fd, line_end)
    except Exception:
        return False
    finally:
        os.close(fd)
    return start >= end
