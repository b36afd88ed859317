"""Arrivals: the reservations of instances on this node, each an allocation whose launcher has
called the agent.

The agent listens at the *launch socket*, and each launcher that connects
(`datapath/include/protocol/launcher.h`) is an `ReservedInstance`: the right to one instance of a pool, for as long as
its connection lives. Three events end it:

- The pool needs fewer than have arrived. Then one that is free, without an instance, is told "done"
  a moment later, and Nomad counts it as successful. The pool decides which instance goes, by
  freeing its reservation.
- The launcher says "leave": Nomad takes the allocation back (a drain, a preemption, a purge). A
  task that runs there has `GRACE` seconds; then the reservation is gone.
- The launcher is gone. The reservation ends at once.

Arrivals for a pool that this agent does not know wait: the agent reports them with the next poll,
and the supervisor grants the pool.

Only root and the agent's own user may connect to the socket.

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
# Seconds for which a free reservation is kept when the pool needs fewer.
LINGER = 1.0
INTRODUCTION_SECONDS = 5.0
LONGEST_LINE = 4096
LEAVE, DONE = b"leave", b"done\n"
CREDENTIALS = struct.Struct("iII")
log = logging.getLogger("remora.agent")


class Introduction(BaseModel):
    """The line that a launcher sends first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    alloc: str = Field(max_length=200)
    pool: int
    instances: str = Field(max_length=200)
    memory_mb: int
    disk_gb: int


@dataclass(slots=True, eq=False)
class ReservedInstance:
    """A reservation for one instance.

    `used`: its instance exists or is being made; `leaving`: the instance must end after its task; `gone`: it must end
    now.
    """

    told: Introduction
    writer: asyncio.StreamWriter = field(repr=False)
    used: bool = False
    leaving: bool = False
    gone: bool = False
    pressing: asyncio.TimerHandle | None = None


class ReservedInstances:
    """The reservations of one agent. Used on one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._here: list[ReservedInstance] = []
        self._wanted: dict[int, int] = {}
        self._pools: dict[int, Callable[[], None]] = {}
        self._told: Callable[[], None] = lambda: None
        self._settling: asyncio.TimerHandle | None = None

    async def open(self, changed: Callable[[], None]) -> None:
        """Listen; `changed` is called when the number of some pool's arrivals changes. Raises InstanceError."""
        self._told = changed
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            passing.bar_descriptors(listener)  # on older kernels the mode of the socket alone keeps tasks out
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE)
        except OSError as error:
            raise InstanceError(f"cannot listen for launchers at {self._path}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Close all connections without a message: the launchers call the next agent."""
        if self._settling is not None:
            self._settling.cancel()
        if self._server is not None:
            self._server.close()
        for arrival in self._here:
            self._drop(arrival)
        self._here.clear()
        self._path.unlink(missing_ok=True)

    # -- calls of pools -------------------------------------------------------------------------

    def attach(self, pool: int, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the arrivals of a pool change."""
        self._pools[pool] = changed

    def detach(self, pool: int, changed: Callable[[], None]) -> None:
        """Stop calling `changed`: the pool's supervisor is lost, or it has ended.

        Its last wanted number stays in force.
        """
        if self._pools.get(pool) == changed:
            del self._pools[pool]

    def want(self, pool: int, number: int) -> None:
        """Set the number of reservations that a pool needs from now on."""
        self._wanted[pool] = number
        self._settle_soon()

    def count(self, pool: int) -> int:
        """The number of reservations that a pool may use."""
        return sum(one.told.pool == pool and not one.leaving for one in self._here)

    def counts(self) -> Counter[int]:
        """The same, of all pools."""
        return Counter(one.told.pool for one in self._here if not one.leaving)

    def take(self, pool: int) -> ReservedInstance | None:
        """Take a free reservation of the pool, if there is one."""
        for one in self._here:
            if one.told.pool == pool and not one.used and not one.leaving:
                one.used = True
                return one
        return None

    def give_back(self, arrival: ReservedInstance) -> None:
        """Free a reservation: it has no instance any more."""
        arrival.used = False
        pool = arrival.told.pool
        if arrival.leaving or (pool not in self._pools and self._wanted.get(pool) == 0):
            self._end(arrival)
        else:
            self._settle_soon()
            self._tell(arrival)  # a pool of another supervisor may have waited for it

    # -- ends of reservations ---------------------------------------------------------------------

    def _settle_soon(self) -> None:
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(LINGER, self._settle)

    def _settle(self) -> None:
        """End free reservations beyond the numbers that pools need."""
        self._settling = None
        counts = self.counts()
        for one in list(self._here):
            pool = one.told.pool
            if not one.used and not one.leaving and counts[pool] > self._wanted.get(pool, counts[pool]):
                counts[pool] -= 1
                self._end(one)
        for pool in [pool for pool in self._wanted if not counts[pool] and pool not in self._pools]:
            del self._wanted[pool]

    def _end(self, arrival: ReservedInstance) -> None:
        """End a reservation that is no longer needed; its allocation succeeds."""
        arrival.leaving = True
        with contextlib.suppress(OSError, RuntimeError):
            arrival.writer.write(DONE)
        self._forget(arrival)

    def _forget(self, arrival: ReservedInstance) -> None:
        arrival.leaving = arrival.gone = True
        self._drop(arrival)
        if arrival in self._here:
            self._here.remove(arrival)
        self._tell(arrival)

    def _drop(self, arrival: ReservedInstance) -> None:
        if arrival.pressing is not None:
            arrival.pressing.cancel()
        arrival.writer.close()

    def _leave(self, arrival: ReservedInstance) -> None:
        """Let a reservation's instance end, since Nomad takes the allocation back."""
        log.info("an allocation ends", extra={"alloc": arrival.told.alloc, "pool": arrival.told.pool})
        if not arrival.used:
            self._end(arrival)
            return
        if not arrival.leaving:
            arrival.leaving = True
            arrival.pressing = asyncio.get_running_loop().call_later(GRACE, self._press, arrival)
            self._tell(arrival)

    def _press(self, arrival: ReservedInstance) -> None:
        """Mark a reservation as gone after its grace; the launcher stays until the instance is gone."""
        arrival.gone = True
        self._tell(arrival)

    def _tell(self, arrival: ReservedInstance) -> None:
        if (pool := self._pools.get(arrival.told.pool)) is not None:
            pool()
        self._told()

    # -- the socket ----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            told = await self._introduced(reader, writer)
            if told is None:
                return
            arrival = ReservedInstance(told, writer)
            self._here.append(arrival)
            self._tell(arrival)
            self._settle_soon()
            while line := await reader.readline():
                if line.strip() == LEAVE:
                    self._leave(arrival)
            if arrival in self._here:
                self._forget(arrival)
        except (OSError, ValueError):
            pass  # the process was no launcher of ours, or is gone
        finally:
            writer.close()

    async def _introduced(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Introduction | None:
        if _user_of(writer) not in (0, os.geteuid()):
            log.warning("a connection to the launch socket was refused: its user may not use it")
            return None
        try:
            async with asyncio.timeout(INTRODUCTION_SECONDS):
                line = await reader.readline()
            return Introduction.model_validate_json(line)
        except (TimeoutError, ValidationError) as error:
            log.warning("a launcher sent an invalid introduction", extra={"why": type(error).__name__})
            return None


def _user_of(writer: asyncio.StreamWriter) -> int:
    connection = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(raw)[1])
