"""The slots of a node: places for instances, shared by the links to all supervisors, and disabled while they hang.

Several supervisors may have work for the node. Each is told which part of it is *away*, in use for
the other supervisors (`engine.max_min`), and plans with the rest.

A slot is taken when the node has room for an instance (`capacity.shortage`); until then its
tasks wait, and the log says once which resource is short.

An instance that cannot be ended (its process is stuck in the kernel, a file system does not unmount,
containerd does not answer) would block the pool and link that wait for it. So the agent waits at most
`ENDING_SECONDS`: then the slot is *disabled*, which the supervisor is told and plans for, and enabled
again if the instance ever ends.

An instance counts as *ending* until it is gone, because a new instance would compete with it. The
supervisors are told when one is gone: only they know which tasks wait for its slot or its memory.

Example: of 4 slots one hangs; the node gets work for 3, and `/metrics` says 1 is disabled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from scheduler.agent.slots import capacity
from scheduler.agent.slots.reserved_instances import ReservedInstances
from scheduler.common.backoff import Backoff
from scheduler.engine.max_min import max_min_share
from scheduler.providers import Instance

# Seconds; longer than containerd has to end a container.
ENDING_SECONDS = 60.0
# Seconds before free resources are checked again: the first pause and the longest.
PAUSES = (0.2, 2.0)
log = logging.getLogger("remora.agent")


@dataclass(frozen=True, slots=True)
class Use:
    """The instances that have work, and the memory of their tiers in MiB."""

    slots: int = 0
    memory_mb: int = 0


NOTHING = Use()


class Slots:
    """The slots of one agent, shared by the links to all supervisors.

    A link joins with a function that is called whenever its supervisor should be told about a change.
    """

    def __init__(self, arrivals: ReservedInstances | None = None) -> None:
        """`arrivals`: the allocations in which alone instances may be made, where Nomad reserves them."""
        self.arrivals = arrivals
        self._links: dict[object, Callable[[], None]] = {}
        self._uses: dict[object, Use] = {}
        self._hanging: set[asyncio.Task[None]] = set()
        self._ending: list[int] = []  # memory in MiB of each
        self._waiters = 0  # instances that wait for room
        self.lack: str | None = None  # the resource that is short for another instance
        self.draining = False  # nothing is to begin here any more

    async def open(self) -> None:
        """Accept calls of launchers. Raises InstanceError."""
        if self.arrivals is not None:
            await self.arrivals.open(self._tell)

    # Among links.

    def join(self, link: object, changed: Callable[[], None]) -> None:
        self._links[link] = changed

    def quit(self, link: object) -> None:
        """Remove a link, whose instances are gone."""
        self.use(link, NOTHING)
        self._links.pop(link, None)

    def drain(self) -> None:
        """Have the supervisors give the node nothing from now on."""
        self.draining = True
        self._tell()

    @property
    def shared(self) -> bool:
        """Whether there is more than one link."""
        return len(self._links) > 1

    def use(self, link: object, use: Use) -> None:
        """Record what a link uses from now on."""
        if use != self._uses.get(link, NOTHING):
            self._uses[link] = use
            if use == NOTHING:
                del self._uses[link]
            self._tell(link)

    def away(self, link: object, slots: int, memory_mb: int) -> Use:
        """The part of these slots and this memory that other links use; never the last slot."""
        others = [use for other, use in self._uses.items() if other is not link]
        if not others:
            return NOTHING
        able = slots - self.disabled
        may = max(max_min_share(able, (use.slots for use in others)), 1)
        return Use(max(0, able - may), memory_mb - max_min_share(memory_mb, (use.memory_mb for use in others)))

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
        """The instances that are being ended."""
        return Use(len(self._ending), sum(self._ending))

    def expect(self, number: int, memory_mb: int) -> None:
        """Count instances that are being made, and are not needed any more, as ending until `forget`."""
        self._ending += [memory_mb] * number

    def forget(self, number: int, memory_mb: int) -> None:
        for _ in range(number):
            self._ending.remove(memory_mb)
        if number:
            self._tell()

    def leave(self, instance: Instance) -> Coroutine[None, None, None]:
        """End an instance; give up waiting after a while. It counts as ending from this call on."""
        self._ending.append(instance.spec.memory_bytes >> 20)
        return self._leave(instance)

    async def _leave(self, instance: Instance) -> None:
        ending = asyncio.get_running_loop().create_task(instance.destroy())
        try:
            done, _ = await asyncio.wait([ending], timeout=ENDING_SECONDS)
        finally:
            self._ending.remove(instance.spec.memory_bytes >> 20)
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
        """Cancel the ends of instances that hang, and stop listening for launchers."""
        if self.arrivals is not None:
            await self.arrivals.close()
        hanging = list(self._hanging)
        for ending in hanging:
            ending.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
