"""Slices at their lines: which bytes of its sources a task is fed.

The supervisor cuts objects at any byte. A range of an object owns the lines that begin in it, so its bytes are those
from the first line that begins in it up to the first that begins behind it. Ranges are read from the object store
itself: a copy on this node would be one of the whole object.

Where lines have been counted an edge is a byte and a number of lines behind it.

A slice that owns no line, because one long line spans it, is done before it has begun: no script runs for it.
"""

from __future__ import annotations

import os

from datapath.slices import count_lines, line_start, lines_behind
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import FeedSource, TaskLease


def bounds(source: FeedSource, size: int, fd: int) -> tuple[int, int]:
    """The first byte of an open source that is fed, and the one after the last.

    Raises LineTooLongError, OSError.
    """
    if source.length is None:
        return 0, size
    end = source.start + source.length
    return _edge(fd, source.start, source.skip, source.blob.size), _edge(fd, end, source.upto, source.blob.size)


def _edge(fd: int, at: int, lines: int, size: int) -> int:
    """The byte of an edge: so many lines behind the first line that begins at `at` or after it."""
    start = line_start(fd, at, size)
    return lines_behind(fd, start, size, lines) if lines else start


def lines_of(lease: TaskLease, stores: Stores) -> list[int]:
    """The number of lines that each source of a task owns. Raises LineTooLongError, OSError. In a thread."""
    return [_lines(source, stores) for source in lease.feed.sources] if lease.feed else []


def _lines(source: FeedSource, stores: Stores) -> int:
    fd = stores.open_in_thread(source.blob)
    try:
        return count_lines(fd, *bounds(source, source.blob.size, fd))
    finally:
        os.close(fd)


def owns_no_line(lease: TaskLease, stores: Stores) -> bool:
    """Whether a task has nothing to read, as far as its lease tells. Reads files, so it runs in a thread.

    What cannot be read is found by the feed.
    """
    if lease.feed is None or not lease.feed.end:
        return False
    return all(_is_empty(source, stores) for source in lease.feed.sources)


def _is_empty(source: FeedSource, stores: Stores) -> bool:
    if source.part is not None:
        return False  # what a partition holds is found when it is fed
    if source.length is None or (source.start == 0 and not source.skip):
        return source.blob.size == 0  # the first line begins at its first byte
    try:
        fd = stores.open_in_thread(source.blob)
    except OSError:
        return False
    try:
        start, end = bounds(source, source.length, fd)
    except Exception:
        return False
    finally:
        os.close(fd)
    return start >= end
