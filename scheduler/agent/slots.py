"""The places in which an agent's instances are, and those that are lost for now.

Several supervisors may have work for the node. Each is told how much of it is *away*, for the
others (`engine.part`), and shares out the rest.

A slot is taken when the node has room for an instance (`capacity.shortage`); until then its
tasks wait, and the log says once for what.

An instance that cannot be ended (its process is stuck in the kernel, a file system does not let
go, containerd does not answer) would hold up whoever waits for it. So nobody waits longer than
`PATIENCE`: then its slot is *disabled*, which the supervisor is told and plans for, and enabled
again should the instance ever be gone.

Until an instance is gone, it counts as *ending*: whatever comes in its place finds it there. A node
that is full tells so when it is gone.

Example: of 4 slots one hangs; the node gets work for 3, and `/metrics` says 1 is disabled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from scheduler.agent import capacity
from scheduler.common.backoff import Backoff
from scheduler.engine.part import part
from scheduler.providers import Instance
from scheduler.providers.nomad.arrivals import Arrivals

# Seconds; what containerd is given to end a container, and some more.
PATIENCE = 60.0
# Seconds before the node is looked at again.
PAUSES = (0.2, 2.0)
log = logging.getLogger("remora.agent")


@dataclass(frozen=True, slots=True)
class Use:
    """Instances that have work, and what their tiers may have of memory."""

    slots: int = 0
    memory_mb: int = 0


NOTHING = Use()


class Slots:
    """One per process of the agent, shared by the links to all supervisors.

    A link joins with a function that is called whenever its supervisor should be told anew of what there is.
    """

    def __init__(self, arrivals: Arrivals | None = None) -> None:
        """`arrivals`, where instances are booked: in their places alone may instances be."""
        self.arrivals = arrivals
        self._links: dict[object, Callable[[], None]] = {}
        self._uses: dict[object, Use] = {}
        self._hanging: set[asyncio.Task[None]] = set()
        self._ending: list[int] = []  # memory in MiB of each
        self._able = 0  # slots that can be used, as last reckoned
        self._waiters = 0  # instances that are to be made once there is room
        self.lack: str | None = None  # what there is too little of for an instance

    async def open(self) -> None:
        """Let launchers call. Raises InstanceError."""
        if self.arrivals is not None:
            await self.arrivals.open(self._tell)

    # Among links.

    def join(self, link: object, changed: Callable[[], None]) -> None:
        self._links[link] = changed

    def quit(self, link: object) -> None:
        """Its instances are gone."""
        self.use(link, NOTHING)
        self._links.pop(link, None)

    @property
    def shared(self) -> bool:
        """Is there more than one link?"""
        return len(self._links) > 1

    def use(self, link: object, use: Use) -> None:
        """What a link uses from now on."""
        if use != self._uses.get(link, NOTHING):
            self._uses[link] = use
            if use == NOTHING:
                del self._uses[link]
            self._tell(link)

    def away(self, link: object, slots: int, memory_mb: int) -> Use:
        """How much of so many slots and so much memory serves others than this link; never the last slot."""
        others = [use for other, use in self._uses.items() if other is not link]
        able = self._able = slots - self.disabled
        if not others:
            return NOTHING
        may = max(part(able, (use.slots for use in others)), 1)
        return Use(max(0, able - may), memory_mb - part(memory_mb, (use.memory_mb for use in others)))

    def _tell(self, but: object = None) -> None:
        for link, changed in list(self._links.items()):
            if link is not but:
                changed()

    # The slots themselves.

    @property
    def disabled(self) -> int:
        return len(self._hanging)

    async def room(self, directory: Path) -> None:
        """Wait until the node, with its disk below `directory`, has room for an instance."""
        backoff = Backoff(*PAUSES)
        self._waiters += 1
        try:
            while (why := capacity.shortage(directory)) is not None:
                if backoff.fresh:
                    log.warning("an instance waits until there is room for it", extra={"why": why})
                self._lacks(why)
                await asyncio.sleep(backoff.next())
        finally:
            self._waiters -= 1
            if not self._waiters:
                self._lacks(None)

    def _lacks(self, why: str | None) -> None:
        changed = (self.lack is None) != (why is None)
        self.lack = why
        if changed:
            self._tell()

    @property
    def ending(self) -> Use:
        """Instances that are being ended."""
        return Use(len(self._ending), sum(self._ending))

    def expect(self, number: int, memory_mb: int) -> None:
        """So many instances that are being made are not wanted any more: they are ending, until `forget`."""
        self._ending += [memory_mb] * number

    def forget(self, number: int, memory_mb: int) -> None:
        for _ in range(number):
            self._ending.remove(memory_mb)

    def leave(self, instance: Instance) -> Coroutine[None, None, None]:
        """End an instance; give up waiting after a while. It counts as ending from this call on."""
        self._ending.append(instance.spec.memory_bytes >> 20)
        return self._leave(instance)

    async def _leave(self, instance: Instance) -> None:
        ending = asyncio.get_running_loop().create_task(instance.destroy())
        try:
            done, _ = await asyncio.wait([ending], timeout=PATIENCE)
        finally:
            self._ending.remove(instance.spec.memory_bytes >> 20)
        if done and sum(use.slots for use in self._uses.values()) + len(self._ending) + 1 >= self._able:
            self._tell()
        if not done:
            self._hanging.add(ending)
            ending.add_done_callback(self._ended)
            told = {"instance": instance.number, "work": str(instance.work), "disabled": self.disabled}
            log.error("an instance does not end: its slot is disabled", extra=told)
            self._tell()

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._hanging.discard(ending)
        if not ending.cancelled():
            log.warning("an instance has ended at last: its slot is enabled", extra={"disabled": self.disabled})
            self._tell()

    async def close(self) -> None:
        """Wait for nothing any more."""
        if self.arrivals is not None:
            await self.arrivals.close()
        hanging = list(self._hanging)
        for ending in hanging:
            ending.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
