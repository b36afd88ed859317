"""A relay of announcements between two processes that share a file of records."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from scheduler.records.database import Database
from scheduler.supervisor.announcements import EVERYTHING

# Bytes that may wait for the other process; beyond that it is told to look at everything.
MOST_WAITING = 64 * 1024


class Relay:
    """One end: passes on what its own process announces, and what it hears from the other end.

    `ended` is set when the other process has ended.
    """

    def __init__(self, db: Database, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ended = asyncio.Event()
        self._db = db
        self._reader = reader
        self._writer = writer
        self._behind: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Relay until the other process ends."""
        stop = self._db.listen(self._pass_on)
        try:
            with contextlib.suppress(ConnectionError):
                while line := await self._reader.readline():
                    self._db.tell(line.decode().rstrip("\n"), but=self._pass_on)
        finally:
            stop()
            self.ended.set()

    def _pass_on(self, subject: str) -> None:
        if self._behind is not None:
            return  # it will be told to look at everything
        self._writer.write(f"{subject}\n".encode())
        if self._writer.transport.get_write_buffer_size() > MOST_WAITING:
            self._behind = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self._behind = None
        self._pass_on(EVERYTHING)


@contextlib.asynccontextmanager
async def relaying(db: Database, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[Relay]:
    """Relay for the length of the block."""
    relay = Relay(db, reader, writer)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        writer.close()
