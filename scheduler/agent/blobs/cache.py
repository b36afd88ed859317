"""Copies of blobs that are not on this node's disk, for the tasks that need them there.

A task finds its input as a file, which is a hard link, and hard links cannot cross file systems,
let alone machines. A blob that is elsewhere is therefore copied before the task is handed to an
instance, while other tasks run. Tasks that want the same blob share one copy (and one transfer).

A task *holds* its copy, and releases it when it is over. Copies without a holder stay as long as
there is room and are evicted in LRU order. Room is reserved before a transfer begins, so a transfer
may have to wait until a copy is released; transfers are served in order, so that a large blob is
not starved. A blob that is larger than the whole cache is admitted when nothing else is held.

A copy is of no value after a crash, which may have left half of it: a cache begins empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import BlobStore

TRANSFERS = 8
LEAST_BYTES = 1 << 30
SHARE = 10  # the cache's share of the file system: one byte in so many

# Writes a blob into a file. Runs in a thread, and should check the event now and then. Raises what `hold` raises.
Getter = Callable[[BlobRef, int, threading.Event], None]


class Copy:
    """One blob's copy, from the first request for it on."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.holders = 0
        self.unwanted = threading.Event()
        self.coming: asyncio.Task[None] | None = None
        self.has_room = False


class Cache:
    """An LRU cache of blobs on disk.

    All methods run on the event loop. `limit`: bytes that copies may take together.
    """

    def __init__(self, root: Path, get: Getter, limit: int | None = None) -> None:
        self.blobs = BlobStore(root)
        self.blobs.discard(list(self.blobs.older_than(1 << 60)))
        self.blobs.discard_unfinished(1 << 60)
        self.limit = default_limit(root) if limit is None else limit
        self.used = 0
        self._get = get
        self._copies: OrderedDict[str, Copy] = OrderedDict()  # the least recently used first
        self._turn = asyncio.Lock()
        self._less = asyncio.Event()  # a copy was released
        self._threads = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="fetch")

    async def hold(self, blob: BlobRef) -> None:
        """Return when there is a copy, which stays until `let_go`. Raises what getting it raises; then none is held."""
        copy = self._copies.get(blob.id)
        if copy is None:
            copy = self._copies[blob.id] = Copy(blob.size)
            copy.coming = asyncio.create_task(self._bring(blob, copy))
        self._copies.move_to_end(blob.id)
        copy.holders += 1
        assert copy.coming is not None
        try:
            await asyncio.shield(copy.coming)
        except BaseException:
            self._leave(blob.id, copy)
            raise

    def let_go(self, blob: str) -> None:
        """Release a copy that a caller of `hold` has held."""
        self._leave(blob, self._copies[blob])

    def forget(self, blob: str) -> None:
        """Drop a damaged copy: the next `hold` transfers the blob again."""
        self.blobs.discard([blob])
        copy = self._copies.get(blob)
        if copy is not None and not copy.holders:
            self._remove(blob, copy)

    async def close(self) -> None:
        """Cancel all transfers and release all copies."""
        coming = [copy.coming for copy in self._copies.values() if copy.coming is not None]
        for copy in self._copies.values():
            copy.unwanted.set()
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self.blobs.close()

    def _leave(self, blob: str, copy: Copy) -> None:
        copy.holders -= 1
        if not copy.holders:
            self._less.set()
            assert copy.coming is not None
            if not copy.coming.done():
                copy.unwanted.set()
                copy.coming.cancel()
            if self._copies.get(blob) is copy and not is_there(copy):
                self._remove(blob, copy)

    def _remove(self, blob: str, copy: Copy) -> None:
        del self._copies[blob]
        if copy.has_room:
            copy.has_room = False
            self.used -= copy.size

    async def _bring(self, blob: BlobRef, copy: Copy) -> None:
        async with self._turn:
            await self._make_room(copy)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._transfer, blob, copy.unwanted)

    async def _make_room(self, copy: Copy) -> None:
        while self.used and self.used + copy.size > self.limit:
            for name, other in list(self._copies.items()):
                if is_there(other) and not other.holders and self.used + copy.size > self.limit:
                    self._remove(name, other)
                    self.blobs.discard([name])
            if self.used and self.used + copy.size > self.limit:
                self._less.clear()
                await self._less.wait()
        self.used += copy.size
        copy.has_room = True

    def _transfer(self, blob: BlobRef, unwanted: threading.Event) -> None:
        """Transfer a blob into its copy. In a thread."""
        fd = self.blobs.create()
        try:
            self._get(blob, fd, unwanted)
            if os.fstat(fd).st_size != blob.size:
                raise OSError(f"blob {blob.id} is not of the size that it should have")
            if not unwanted.is_set():
                with contextlib.suppress(FileExistsError):  # by a transfer that was cancelled at the last moment
                    self.blobs.publish(fd, blob.id)
        finally:
            self.blobs.drop(fd)


def is_there(copy: Copy) -> bool:
    """Whether the copy is complete."""
    coming = copy.coming
    return coming is not None and coming.done() and not coming.cancelled() and coming.exception() is None


def default_limit(root: Path) -> int:
    """The default limit in bytes: a share of the file system's total size."""
    status = os.statvfs(root)
    return max(LEAST_BYTES, status.f_blocks * status.f_frsize // SHARE)
