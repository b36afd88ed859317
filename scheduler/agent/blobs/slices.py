"""Slices at their lines: which bytes of its sources a task is fed.

The supervisor cuts objects at any byte. A range of an object owns the lines that begin in it, so its bytes are those
from the first line that begins in it up to the first that begins behind it. Ranges are read from the object store
itself: a copy on this node would be one of the whole object.

A slice that owns no line, because one long line spans it, is done before it has begun: no script runs for it.
"""

from __future__ import annotations

import os

from datapath.slices import line_start
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import FeedSource, TaskLease


def bounds(source: FeedSource, size: int, fd: int) -> tuple[int, int]:
    """The first byte of an open source that is fed, and the one after the last.

    Raises LineTooLongError, OSError.
    """
    if source.length is None:
        return 0, size
    end = source.start + source.length
    return line_start(fd, source.start, source.blob.size), line_start(fd, end, source.blob.size)


def owns_no_line(lease: TaskLease, stores: Stores) -> bool:
    """Whether a task has nothing to read, as far as its lease tells. Reads files, so it runs in a thread.

    What cannot be read is found by the feed.
    """
    if lease.feed is None or not lease.feed.end:
        return False
    return all(_is_empty(source, stores) for source in lease.feed.sources)


def _is_empty(source: FeedSource, stores: Stores) -> bool:
    if source.length is None or source.start == 0:
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
