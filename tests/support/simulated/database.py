"""What a simulated cluster keeps things in: a database that is never committed, and a store of blobs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

from scheduler.model.wire import BlobRef
from scheduler.records.fences import Fence
from tests.support.invariants import check
from tests.support.services.records import connect


class StepDatabase:
    """A database that is never committed, whose works are done between two turns of the event loop.

    After each of them the invariants of the records must hold. `exists`: whether a blob is in the shared store.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self.connection = connect("jill")
        self._exists = exists
        self.broken: list[AssertionError] = []  # a background task that meets one is tried again
        self._listeners: list[Callable[[str], None]] = []
        self._fence: Fence | None = None

    async def write(self, work: Callable[[Any], Any], *, bulk: bool = False, lasting: bool = True) -> Any:
        await asyncio.sleep(0)
        c = self.connection
        c.mark()
        try:
            if self._fence is not None:
                self._fence.check(c)
            result = work(c)
        except BaseException:
            c.undo()
            raise
        c.keep()
        self._check()
        told, c.announced = c.announced, []
        for subject in told:
            for listener in self._listeners:
                listener(subject)
        await asyncio.sleep(0)
        return result

    def _check(self) -> None:
        try:
            check(self.connection, self._exists)
        except AssertionError as error:
            self.broken.append(error)
            raise

    async def read(self, work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return work(self.connection)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def of(self, *accounts: str) -> StepDatabase:
        return self

    def behind(self, fence: Fence) -> StepDatabase:
        view = object.__new__(StepDatabase)
        view.connection, view._listeners, view._fence = self.connection, self._listeners, fence
        view._exists, view.broken = self._exists, self.broken
        return view


class Shared(dict[str, bytes]):
    """The store that all nodes share: blobs by id."""

    def discard(self, blobs: Iterable[str]) -> None:
        for blob in blobs:
            self.pop(blob, None)

    def create(self) -> int:
        return os.memfd_create("blob")

    def publish(self, fd: int, blob: str) -> None:
        self[blob] = os.pread(fd, os.fstat(fd).st_size, 0)

    async def store(self, blob: str, body: bytes) -> None:
        await asyncio.sleep(0)
        self[blob] = body

    def drop(self, fd: int) -> None:
        os.close(fd)

    def status(self, blob: str) -> None:
        if blob not in self:
            raise FileNotFoundError(blob)

    async def durable(self) -> None:
        await asyncio.sleep(0)

    async def absent(self, claimed: Iterable[BlobRef]) -> set[str]:
        """As `AgentService.absent`, without a thread: a run is to go the same way every time."""
        return {blob.id for blob in claimed if len(self.get(blob.id, b"")) != blob.size}
