"""The feed: the input of one reducer, made of many blobs.

A reducer reads its standard input as if it were one file. In truth it is many blobs, which are
committed upstream at different times, partly on other nodes. A *feed* joins them: a queue of
sources, a position, and the writing end of a pipe. There is one feed for each running reducer
attempt, and the agent owns it. The agent appends sources as it learns of them; the feed moves bytes
from the first source into the pipe until that source has given all its bytes, and continues with
the next.

From "reducers are slower than the page cache" follows that the pipe is nearly always full and the
feed nearly always waits. So waiting must cost nothing: the feed is a thread inside one C call,
without the interpreter lock, which is woken only by the reader's progress.

From "bytes in the pipe cannot be taken back" follows that a source that fails in the middle must
not be started over. The feed knows how many of its bytes went in, asks for another copy, and
continues at that byte. When there is no other copy the attempt is lost (and runs again elsewhere);
the job is not.

From "a program may stop reading when it has seen enough" follows that a closed pipe is
an answer, not an error: the feed drops what is left and says that the reader stopped.

From "a job may have a million inputs" follows that the queue is bounded: `room` says how
many more sources it takes, and an event is sent when there is room again. Opening a small
blob costs more than moving it, so sources are opened and fed a batch at a time.

Example: `head -c 4` reads from sources a (3 bytes), b (0 bytes) and c (1 MB, on node 7).
The feed sends 3 bytes, never opens b, sends 600 KB of c, when node 7 dies. It opens the
copy on node 9 at byte 600,000, and finds the pipe closed: `ReaderStopped`, and it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from datapath._core import ffi, lib

PIPE_BYTES = 1024 * 1024
SLICE_PIPE_BYTES = 256 * 1024  # of a task that reads a slice: there are many more of them
ROOM = 1024  # sources that may wait in the queue
BATCH = 32  # sources that are open at once, unless their first ones fill the pipe already
COPIES = 3  # copies of one source that may fail one after another without giving a byte

S = TypeVar("S")


class Result(IntEnum):
    """The result of a move into the pipe."""

    DONE = lib.FEED_DONE  # all wanted bytes are in the pipe
    EOF = lib.FEED_EOF  # a source ended before its size
    CLOSED = lib.FEED_CLOSED  # the reader closed its end
    STOPPED = lib.FEED_STOPPED  # the feed was closed
    ERROR = lib.FEED_ERROR  # a source could not be read


def pipe(size: int = PIPE_BYTES) -> tuple[int, int]:
    """A pipe of `size` bytes, or fewer if the kernel does not allow that: `(reading end, writing end)`.

    The writing end does not block: it is for a feed. Raises OSError (EMFILE).
    """
    fds = ffi.new("int[2]")
    if lib.feed_pipe(fds, size) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return fds[0], fds[1]


def splice(src: int, pipe_wr: int, offset: int, want: int) -> tuple[Result, int]:
    """Move up to `want` bytes of `src` from `offset` into the pipe; returns the result and the bytes moved.

    Raises OSError when the source cannot be read.
    """
    position = ffi.new("off_t *", offset)
    result = Result(lib.feed_splice(src, pipe_wr, position, want, -1))
    if result is Result.ERROR:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return result, position[0] - offset


@dataclass(frozen=True, slots=True)
class RoomAgain:
    """The queue was full, and half of it is free again."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Every source went in whole, after `end`. The last event."""


@dataclass(frozen=True, slots=True)
class ReaderStopped:
    """The reader closed its end; the other sources are dropped. The last event."""


@dataclass(frozen=True, slots=True)
class SourceLost(Generic[S]):
    """No copy of `source` gives its bytes from `offset` on, so this attempt cannot succeed. The last event."""

    source: S
    offset: int
    error: Exception


Event: TypeAlias = RoomAgain | Finished | ReaderStopped | SourceLost[S]


Pieces: TypeAlias = Sequence[tuple[int, int]]


class Opened(NamedTuple):
    """A piece of an open source that is fed. `begin`: where it begins among all that is fed of the source."""

    fd: int
    start: int
    end: int
    begin: int = 0
    is_last: bool = True  # of its source, but for a newline that the source lacks


class Feed(Generic[S]):
    """One reducer's input: a queue of sources, poured one after another into a pipe that the feed owns.

    `open_source(source, offset)` returns a descriptor, which the feed closes: of a file, or of a stream
    that begins at `offset`. When a copy fails it is called again for the same source, and should open
    another copy; an exception means that there is none. `open_ahead(source)` is called for sources whose
    turn has not come, so it should not block: an exception means "not yet". `pieces(source, size, fd)` gives
    the pieces of an open source that are fed, in order, each by its first byte and the one after its last;
    without it the source is fed whole. Offsets count in what is fed. An exception of it is the source's loss.
    `ends_lines`: a source, which is a file then, whose last line does not end in this byte gets one, so that it
    does not run into the next source. `on_event` gets `RoomAgain` any number of times and then one of the last events,
    unless `close` came first. All run in the feed's thread.

    A last event is sent *before* the pipe is closed. So its owner knows that an input is incomplete
    before the reducer can see its end and succeed with half of it.
    """

    def __init__(
        self,
        pipe_wr: int,
        open_source: Callable[[S, int], int],
        on_event: Callable[[Event[S]], None],
        room: int = ROOM,
        open_ahead: Callable[[S], int] | None = None,
        pieces: Callable[[S, int, int], Pieces] | None = None,
        ends_lines: bytes | None = None,
    ) -> None:
        self._pipe_wr = pipe_wr
        self._open_source = open_source
        self._open_ahead = open_ahead or (lambda source: open_source(source, 0))
        self._ends_lines = ends_lines
        self._pieces = pieces or (lambda source, size, fd: ((0, size),))
        self._on_event = on_event
        self._capacity = room
        self._queue: deque[tuple[S, int]] = deque()
        self._change = threading.Condition()
        self._ended = False  # `end` was called
        self._over = False  # the thread has closed the descriptors, or is about to
        self._was_full = False
        self._moved = 0
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    @property
    def room(self) -> int:
        """The number of further sources that `append` takes now."""
        return max(0, self._capacity - len(self._queue))

    @property
    def moved(self) -> int:
        """Bytes that went into the pipe so far; exact after the last event."""
        return self._moved

    def append(self, source: S, size: int) -> None:
        """Queue a source of `size` bytes. Raises BufferError if there is no room, ValueError after `end`.

        An empty source is never opened. After a last event or `close`, appending does nothing.
        """
        with self._change:
            if self._ended:
                raise ValueError("a source was appended to a feed that was told that its input has ended")
            if self._over or size == 0:
                return
            if self.room == 0:
                raise BufferError(f"the feed is full: {self._capacity} sources wait already")
            self._queue.append((source, size))
            self._was_full = self._was_full or self.room == 0
            self._change.notify()

    def end(self) -> None:
        """No source will follow: close the pipe when the queue is empty. Calling it again changes nothing."""
        with self._change:
            self._ended = True
            self._change.notify()

    def close(self) -> None:
        """Stop at once, in the middle of a source, and close the pipe. No event follows one that has begun."""
        with self._change:
            if not self._over:
                self._over = True
                os.eventfd_write(self._stop, 1)
            self._change.notify()

    def join(self) -> None:
        """Wait until the thread has ended and the pipe is closed."""
        self._thread.join()

    def _run(self) -> None:
        last: Event[S] | None = None
        while last is None and (batch := self._take()):
            last = self._pour(batch)
        with self._change:
            closed, self._over = self._over, True
            self._queue.clear()
            os.close(self._stop)
        try:
            if not closed:
                self._on_event(last or Finished())
        finally:
            os.close(self._pipe_wr)

    def _take(self) -> list[tuple[S, int]]:
        """The next sources, once there are some; an empty list when there will be none."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._ended or self._over)
            if self._over:
                return []
            batch = self._next_batch()
            roomy = self._was_full and self.room * 2 >= self._capacity
            self._was_full = self._was_full and not roomy
        if roomy:
            self._on_event(RoomAgain())
        return batch

    def _next_batch(self) -> list[tuple[S, int]]:
        batch: list[tuple[S, int]] = []
        size = 0
        while self._queue and len(batch) < BATCH and size < PIPE_BYTES:
            batch.append(self._queue.popleft())
            size += batch[-1][1]
        return batch

    def _pour(self, batch: list[tuple[S, int]]) -> Event[S] | None:
        """Feed a whole batch; returns the event that ends the feed, if any."""
        index, offset, idle = 0, 0, 0
        while index < len(batch):
            source = batch[index][0]
            try:
                opened = self._open(batch[index:], offset)
            except Exception as why:
                return SourceLost(source, offset, why)
            parts = self._with_ends(opened) if self._ends_lines else opened
            result, passed, reached, error = self._call(parts)
            into = reached - parts[passed].start if passed < len(parts) else 0
            self._moved += sum(each.end - each.start for each in parts[:passed]) + into
            if result is Result.CLOSED or result is Result.STOPPED:
                return ReaderStopped()  # after STOPPED no event is sent
            fed = sum(each.is_last for each in parts[:passed])
            after = parts[passed].begin + into if passed < len(parts) else 0
            idle = idle + 1 if (fed, after) == (0, offset) else 0
            index, offset = index + fed, after
            if idle == COPIES:
                return SourceLost(batch[index][0], offset, error)
        return None

    def _open(self, batch: list[tuple[S, int]], offset: int) -> list[Opened]:
        """Open as many sources of a batch as possible. Raises the error of the first one."""
        opened = self._opened(batch[0], self._open_source(batch[0][0], offset), offset)
        with contextlib.suppress(Exception):  # once it is the first, its error is raised
            for item in batch[1:]:
                opened += self._opened(item, self._open_ahead(item[0]), 0)
        return opened

    def _opened(self, item: tuple[S, int], fd: int, offset: int) -> list[Opened]:
        """The pieces of an open source that are fed, from `offset` on; an empty one if there are none."""
        opened: list[Opened] = []
        begin = 0
        try:
            for start, end in self._pieces(*item, fd):
                if end > start and begin + end - start > offset:
                    skipped = max(0, offset - begin)
                    opened.append(Opened(fd, start + skipped, end, begin + skipped, is_last=False))
                begin += max(0, end - start)
        except BaseException:
            os.close(fd)
            raise
        if not opened:
            return [Opened(fd, 0, 0)]
        opened[-1] = opened[-1]._replace(is_last=True)
        return opened

    def _with_ends(self, opened: list[Opened]) -> list[Opened]:
        """Open files, and the end of a line behind each whose last line has none."""
        line_end = self._ends_lines
        assert line_end is not None
        parts: list[Opened] = []
        for each in opened:
            parts.append(each)
            if each.is_last and each.end > each.start and os.pread(each.fd, 1, each.end - 1) != line_end:
                parts.append(Opened(file_of(line_end), 0, len(line_end), is_last=False))
        return parts

    def _call(self, opened: list[Opened]) -> tuple[Result, int, int, OSError]:
        """One call into C, which ends with the sources closed: `(result, pieces fed, byte of the next one, why)`."""
        fds, starts, ends = (list(column) for column in zip(*(each[:3] for each in opened), strict=True))
        index, position = ffi.new("size_t *"), ffi.new("off_t *", starts[0])
        try:
            code = lib.feed_many(fds, starts, ends, len(fds), self._pipe_wr, self._stop, index, position)
            error = ffi.errno if code == lib.FEED_ERROR else 0
        finally:
            for fd in set(fds):
                os.close(fd)
        why = OSError(error, os.strerror(error)) if error else OSError(errno.ENODATA, "the source ended too early")
        return Result(code), index[0], position[0], why


def file_of(line_end: bytes) -> int:
    """A file in memory that holds the end of a line."""
    fd = os.memfd_create("end", os.MFD_CLOEXEC)
    os.write(fd, line_end)
    return fd
