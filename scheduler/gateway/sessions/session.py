"""The state of sessions: which connections a job's session has, and the copying between them.

A handler serves one connection for as long as it lives, and reads nothing but that one. What it reads it writes to the
other connection itself, so that there is no queue. The first handler that ends closes the other connection, with the
same reason.

    connections        a message of the master     a message of the slave
    master             dropped                     -
    master and slave   to the slave                to the master
    one has ended      dropped                     dropped
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from scheduler.common.display import compact
from scheduler.common.ids import new_id
from scheduler.http.websocket import RESET, Close, pass_on, read_messages, reason_bytes
from scheduler.model import errors

PREFIX = "medusa:"
STOPPING = Close(WSCloseCode.GOING_AWAY, "the service stops")


class End(Enum):
    """The two ends of a session."""

    MASTER = "master"
    SLAVE = "slave"

    @property
    def other(self) -> End:
        return End.SLAVE if self is End.MASTER else End.MASTER


class Place(NamedTuple):
    """The place of a session: a job, by its UUID, or beside a running task of it, by its number."""

    job: str
    task: int = 0

    def __str__(self) -> str:
        return f"task {self.task} of job {self.job}" if self.task else f"job {self.job}"


class Slave(Protocol):
    """What is known of the program that is to come: where it is, and what makes it come."""

    @property
    def over(self) -> str:
        """Why it cannot come any more, once it does not run."""

    @property
    def in_task(self) -> bool:
        """Whether it is beside a task of the job, not the job's own."""

    async def start(self, session: str) -> str | None:
        """Have it started, to attach to the session of this id; why it is not, or None."""

    async def runs(self) -> bool:
        """Whether it may still come."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds: between two `wait` messages; two looks whether a slave may still come; of silence before a ping.

    A client looks at its job itself, and shows its errors; it does not look at a task.
    """

    wait: float = 2.0
    look: float = 30.0
    look_at_task: float = 4.0
    silence: float = 20.0


class Session:
    """The session at a place: its connections, and when something was typed or shown the last time."""

    def __init__(self, idle_seconds: float, timings: Timings) -> None:
        self.id = new_id()
        self.moved = {End.MASTER: 0, End.SLAVE: 0}  # bytes from each end
        self._idle_seconds = idle_seconds
        self._timings = timings
        self.taken: set[End] = set()
        self._connections: dict[End, web.WebSocketResponse] = {}
        self._linked = False
        self._close: Close | None = None  # once it is over
        self._active = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether the master is there, and no slave has come yet."""
        return End.MASTER in self._connections and End.SLAVE not in self.taken and self._close is None

    async def serve(self, end: End, connection: web.WebSocketResponse, slave: Slave | None = None) -> Close:
        """Serve a connection until it ends; then end the other one, too. Returns how it ended.

        `slave`: the program for which a master waits.
        """
        self._connections[end] = connection
        minding = asyncio.create_task(self._mind(connection, slave)) if slave else None
        close = RESET
        try:
            if end is End.SLAVE:
                await self._link()
            close = await read_messages(connection, lambda message: self._take(end, message), self._timings.silence)
        except ConnectionError:
            close = RESET
        finally:
            if minding is not None:
                minding.cancel()
            del self._connections[end]
            await self.end(close)
        return self._close or close

    async def end(self, close: Close) -> None:
        """End the session, for this reason unless it had one already: close what is connected."""
        self._close = self._close or close
        code, reason = self._close.code, reason_bytes(self._close.reason)
        closing = (connection.close(code=code, message=reason) for connection in self._connections.values())
        await asyncio.gather(*closing, return_exceptions=True)

    async def _link(self) -> None:
        """Tell both that they are connected. Nothing is copied before, and all that comes after."""
        self._linked = True
        self._active = time.monotonic()
        for end in (End.SLAVE, End.MASTER):
            await self._connections[end].send_str(message("linkup"))

    async def _take(self, end: End, said: WSMessage) -> None:
        other = self._connections.get(end.other)
        if not self._linked or self._close is not None or other is None:
            return
        if said.type is WSMsgType.BINARY:
            self._active = time.monotonic()
            self.moved[end] += len(said.data)
        await pass_on(said, other)

    async def _mind(self, master: web.WebSocketResponse, slave: Slave) -> None:
        """Let the master wait, as long as the slave may come; then watch that the session is used."""
        with contextlib.suppress(ConnectionError):
            if (why := await slave.start(self.id)) is not None:
                await self.end(Close(WSCloseCode.TRY_AGAIN_LATER, why))
                return
            looked = time.monotonic()
            pause = self._timings.look_at_task if slave.in_task else self._timings.look
            while not self._linked:
                await master.send_str(message("wait"))
                await asyncio.sleep(self._timings.wait)
                if time.monotonic() - looked >= pause:
                    looked = time.monotonic()
                    if not await slave.runs():
                        await self.end(Close(WSCloseCode.OK, slave.over))
                        return
            while (left := self._active + self._idle_seconds - time.monotonic()) > 0:
                await asyncio.sleep(left)
            await self.end(Close(WSCloseCode.OK, f"nothing was typed or shown for {self._idle_seconds:g} seconds"))


class Sessions:
    """The sessions at this gateway, by their places."""

    def __init__(self, timings: Timings | None = None) -> None:
        self.address: str | None = None  # URL at which other gateways reach this one
        self.tls: ssl.SSLContext | bool = True  # for connections to them; True: with the authorities of the machine
        self._timings = timings or Timings()
        self._of: dict[Place, Session] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, place: Place) -> bool:
        return place in self._of

    @contextlib.asynccontextmanager
    async def attached(self, place: Place, end: End, idle_seconds: float, secret: str | None) -> AsyncIterator[Session]:
        """Take an end of the session at a place: of a new one for a master.

        Raises WireError: it is taken, or there is no master, or a slave beside a task does not know the session's id.
        A session lasts as long as one of its ends is taken.
        """
        session = self._of.get(place)
        if end is End.MASTER:
            if session is not None:
                raise errors.session_taken(str(place), end.value)
            session = self._of[place] = Session(idle_seconds, self._timings)
        elif session is None or (place.task and secret != session.id):
            raise errors.session_not_found(place.job)
        elif not session.waits:
            raise errors.session_taken(str(place), end.value)
        session.taken.add(end)
        try:
            yield session
        finally:
            session.taken.remove(end)
            if not session.taken:
                del self._of[place]

    async def close(self, *_: Any) -> None:
        """End all sessions: the gateway stops."""
        await asyncio.gather(*(session.end(STOPPING) for session in self._of.values()))


def message(kind: str) -> str:
    """What the gateway itself tells a client."""
    return PREFIX + compact({"type": kind})
