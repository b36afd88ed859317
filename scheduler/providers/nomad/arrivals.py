"""Launchers that call: the instances that the cluster has booked on this node.

The agent listens at the *launch socket*, and each launcher that calls (`datapath/include/launcher.h`)
is an `Arrival`: the right to one instance of a pool, for as long as its connection lives. Three
things end that:

- The pool wants fewer than have arrived. Then one that is free, no instance being in it, is told
  "done" a moment later, and Nomad counts it as ended well. Which instance goes is thus decided by
  the pool, by making its place free.
- The launcher says "leave": Nomad wants the place back (a drain, a preemption, a purge). What runs
  there has `GRACE` seconds; then the place is gone.
- The launcher is gone. So is the place, at once.

Of pools that nobody here has heard of the arrivals wait: their supervisor is told of them with
the next poll, and says what to do there.

The socket is for root and for the agent's own user.

Example: 3 launchers of pool 7 call and the pool wants 2: two instances are made, and a second
later the third launcher ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datapath import passing
from scheduler.providers import InstanceError

GRACE = 10.0
# Seconds that a free place is kept when the pool wants fewer.
LINGER = 1.0
INTRODUCTION_SECONDS = 5.0
LONGEST_LINE = 4096
LEAVE, DONE = b"leave", b"done\n"
CREDENTIALS = struct.Struct("iII")
log = logging.getLogger("remora.agent")


class Introduction(BaseModel):
    """The line that a launcher says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    alloc: str = Field(max_length=200)
    pool: int
    instances: str = Field(max_length=200)
    memory_mb: int
    disk_gb: int


@dataclass(slots=True, eq=False)
class Arrival:
    """A place for one instance. `used`: there is one, or it is being made; `leaving`: it must end; `gone`: now."""

    told: Introduction
    writer: asyncio.StreamWriter = field(repr=False)
    used: bool = False
    leaving: bool = False
    gone: bool = False
    pressing: asyncio.TimerHandle | None = None


class Arrivals:
    """One per agent. Used on one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._here: list[Arrival] = []
        self._wanted: dict[int, int] = {}
        self._pools: dict[int, Callable[[], None]] = {}
        self._told: Callable[[], None] = lambda: None
        self._settling: asyncio.TimerHandle | None = None

    async def open(self, changed: Callable[[], None]) -> None:
        """Listen; `changed` is called when another number has arrived of some pool. Raises InstanceError."""
        self._told = changed
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            passing.bar_descriptors(listener)  # elsewhere the mode of the socket keeps tasks out
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE)
        except OSError as error:
            raise InstanceError(f"cannot listen for launchers at {self._path}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Hang up without a word: the next agent is called."""
        if self._settling is not None:
            self._settling.cancel()
        if self._server is not None:
            self._server.close()
        for arrival in self._here:
            self._drop(arrival)
        self._here.clear()
        self._path.unlink(missing_ok=True)

    # -- what the pools ask --------------------------------------------------------------------

    def attach(self, pool: int, changed: Callable[[], None]) -> None:
        """Tell a pool whenever its arrivals have changed."""
        self._pools[pool] = changed

    def detach(self, pool: int, changed: Callable[[], None]) -> None:
        """Its supervisor is lost, or it is over; what was wanted last is still wanted."""
        if self._pools.get(pool) == changed:
            del self._pools[pool]

    def want(self, pool: int, number: int) -> None:
        """A pool wants so many places from now on, whatever has arrived."""
        self._wanted[pool] = number
        self._settle_soon()

    def count(self, pool: int) -> int:
        """Places that a pool may use."""
        return sum(one.told.pool == pool and not one.leaving for one in self._here)

    def counts(self) -> Counter[int]:
        """The same, of all pools."""
        return Counter(one.told.pool for one in self._here if not one.leaving)

    def take(self, pool: int) -> Arrival | None:
        """A place that is free, if there is one."""
        for one in self._here:
            if one.told.pool == pool and not one.used and not one.leaving:
                one.used = True
                return one
        return None

    def give_back(self, arrival: Arrival) -> None:
        """No instance is in a place any more."""
        arrival.used = False
        pool = arrival.told.pool
        if arrival.leaving or (pool not in self._pools and self._wanted.get(pool) == 0):
            self._end(arrival)
        else:
            self._settle_soon()
            self._tell(arrival)  # a pool of another supervisor's may have waited for it

    # -- what becomes of them --------------------------------------------------------------------

    def _settle_soon(self) -> None:
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(LINGER, self._settle)

    def _settle(self) -> None:
        """Let go of free places that no pool wants."""
        self._settling = None
        counts = self.counts()
        for one in list(self._here):
            pool = one.told.pool
            if not one.used and not one.leaving and counts[pool] > self._wanted.get(pool, counts[pool]):
                counts[pool] -= 1
                self._end(one)
        for pool in [pool for pool in self._wanted if not counts[pool] and pool not in self._pools]:
            del self._wanted[pool]

    def _end(self, arrival: Arrival) -> None:
        """It is needed no longer, and leaves well."""
        arrival.leaving = True
        with contextlib.suppress(OSError, RuntimeError):
            arrival.writer.write(DONE)
        self._forget(arrival)

    def _forget(self, arrival: Arrival) -> None:
        arrival.leaving = arrival.gone = True
        self._drop(arrival)
        if arrival in self._here:
            self._here.remove(arrival)
        self._tell(arrival)

    def _drop(self, arrival: Arrival) -> None:
        if arrival.pressing is not None:
            arrival.pressing.cancel()
        arrival.writer.close()

    def _leave(self, arrival: Arrival) -> None:
        """Nomad wants the place back."""
        log.info("a booking ends", extra={"alloc": arrival.told.alloc, "pool": arrival.told.pool})
        if not arrival.used:
            self._end(arrival)
            return
        if not arrival.leaving:
            arrival.leaving = True
            arrival.pressing = asyncio.get_running_loop().call_later(GRACE, self._press, arrival)
            self._tell(arrival)

    def _press(self, arrival: Arrival) -> None:
        """Its time is over; the launcher stays until the instance is gone."""
        arrival.gone = True
        self._tell(arrival)

    def _tell(self, arrival: Arrival) -> None:
        if (pool := self._pools.get(arrival.told.pool)) is not None:
            pool()
        self._told()

    # -- the socket ----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            told = await self._introduced(reader, writer)
            if told is None:
                return
            arrival = Arrival(told, writer)
            self._here.append(arrival)
            self._tell(arrival)
            self._settle_soon()
            while line := await reader.readline():
                if line.strip() == LEAVE:
                    self._leave(arrival)
            if arrival in self._here:
                self._forget(arrival)
        except (OSError, ValueError):
            pass  # it was no launcher of ours, or is gone
        finally:
            writer.close()

    async def _introduced(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Introduction | None:
        if _user_of(writer) not in (0, os.geteuid()):
            log.warning("somebody who may not has called the launch socket")
            return None
        try:
            async with asyncio.timeout(INTRODUCTION_SECONDS):
                line = await reader.readline()
            return Introduction.model_validate_json(line)
        except (TimeoutError, ValidationError) as error:
            log.warning("a launcher said what is not understood", extra={"why": type(error).__name__})
            return None


def _user_of(writer: asyncio.StreamWriter) -> int:
    connection = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(raw)[1])
