"""The inputs of one attempt that merges: open files, which are handed over on its standard input.

To merge is to read many inputs at once, each as far as the others allow. A pipe has one order, so a task that merges
gets its inputs as files instead: its standard input is a socket, and each packet of it has one open file
(`protocol/pass.h`). The task finds in them what lies in its range of keys, and reads nothing else.

The supervisor sends sources in pages, as for a feed (`reducer_input`); the socket's buffer bounds how far a page runs
ahead of the task. Opening a file may block on a shared file system, and sending until the task reads: so one thread
per attempt does both.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable

from datapath.passing import Channel, Kind
from scheduler.agent.attempts.input_files import Stamp, stamp
from scheduler.agent.attempts.reducer_input import Lost
from scheduler.agent.attempts.source_pages import SourcePages
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import BlobRef, FeedPage, FeedSource, FeedState, TaskLease

ROOM = 256  # sources that may wait in the queue
MAX_NAME = 4000  # bytes of an input's name, which the task only shows


class HandedInput:
    """The sending end of a task's standard input.

    `changed` and `lost` are called on the event loop, as those of a `ReducerInput` are.
    """

    moved = 0  # bytes that went through the agent

    def __init__(
        self,
        lease: TaskLease,
        stores: Stores,
        channel: Channel,
        changed: Callable[[], None],
        lost: Callable[[Lost], None],
        watches: bool = False,
    ) -> None:
        """`watches`: the task could change the files, so `stamps` says how they were."""
        self._pages = SourcePages(lease)
        self._stores = stores
        self._channel = channel
        self._report_change = changed
        self._lost = lost
        self._watches = watches
        self.stamps: list[tuple[BlobRef, Stamp]] = []
        self._loop = asyncio.get_running_loop()
        self._queue: deque[FeedSource] = deque()
        self._change = threading.Condition()
        if lease.feed is not None:
            self.accept(lease.feed)
        threading.Thread(target=self._run, name="hand", daemon=True).start()

    def accept(self, page: FeedPage) -> None:
        """Queue the sources of a page; those that were received before are skipped."""
        with self._change:
            self._queue.extend(self._pages.accept(page))
            self._change.notify()

    def state(self) -> FeedState | None:
        """The state for the supervisor; None once all sources are known or no more are wanted."""
        with self._change:
            return self._pages.state(max(0, ROOM - len(self._queue)))

    def close(self) -> None:
        """End the input: the task has ended, whatever it has read."""
        with self._change:
            if not self._pages.stopped:
                self._pages.stopped = True
                self._channel.hang_up()
            self._change.notify()

    def _run(self) -> None:
        """Hand over all sources. In a thread, which owns the channel."""
        source: FeedSource | None = None
        try:
            while source := self._next():
                self._hand(source)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the task reads no more
        except Exception as error:
            assert source is not None
            self._tell_lost(Lost(source.blob, f"blob {source.blob.id}: {error}"))
        with self._change:
            self._pages.stopped = True
            self._channel.close()

    def _next(self) -> FeedSource | None:
        """The next source, once there is one; None when there will be none."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._pages.ended or self._pages.stopped)
            if self._pages.stopped or not self._queue:
                return None
            source = self._queue.popleft()
            if len(self._queue) == ROOM // 2:
                self._loop.call_soon_threadsafe(self._report_change)
            return source

    def _hand(self, source: FeedSource) -> None:
        """Hand one source over. Raises OSError."""
        if not source.blob.size:
            return
        fd = self._stores.open_in_thread(source.blob)
        try:
            if self._watches:
                self.stamps.append((source.blob, stamp(os.fstat(fd))))
            name = source.name.encode("utf-8", "surrogateescape")[:MAX_NAME]
            self._channel.send(Kind.FILE, flags=source.dictionary, payload=name, fds=(fd,))
        finally:
            os.close(fd)

    def _tell_lost(self, lost: Lost) -> None:
        """Report a source as lost, and wait until the task is stopped: it must not see the end of its inputs before."""
        self._loop.call_soon_threadsafe(self._lost, lost)
        with self._change:
            self._change.wait_for(lambda: self._pages.stopped)
