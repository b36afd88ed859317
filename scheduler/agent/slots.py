"""The places in which an agent's instances are, and those that are lost for now.

A slot is taken when the node has room for an instance (`capacity.shortage`); until then its
tasks wait, and the log says once for what.

An instance that has ended leaves its number to the next one. One that cannot be ended (its
process is stuck in the kernel, a file system does not let go, containerd does not answer)
would hold up whoever waits for it. So nobody waits longer than `PATIENCE`: then its slot is
*disabled*, which the supervisor is told and plans for, and enabled again should the instance
ever be gone. Its number is not used meanwhile, not even when the agent registers anew.

Example: of 4 slots one hangs; the node gets work for 3, and `/metrics` says 1 is disabled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from scheduler.agent import capacity
from scheduler.providers import Instance
from scheduler.providers.numbers import Numbers

# Seconds; what containerd is given to end a container, and some more.
PATIENCE = 60.0
# Seconds before the node is looked at again.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
log = logging.getLogger("remora.agent")


class Slots:
    """One per process of the agent. `changed` is called when the number of disabled ones has."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._numbers = Numbers()
        self._hanging: set[asyncio.Task[None]] = set()

    @property
    def disabled(self) -> int:
        return len(self._hanging)

    async def take(self, directory: Path) -> int:
        """Wait until the node, with its disk below `directory`, has room for an instance; the instance's number."""
        pause = FIRST_PAUSE
        while (why := capacity.shortage(directory)) is not None:
            if pause == FIRST_PAUSE:
                log.warning("an instance waits until there is room for it", extra={"why": why})
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return self._numbers.take()

    async def leave(self, instance: Instance | None, number: int) -> None:
        """End what is in a slot, and free it; give up waiting after a while."""
        if instance is None:
            self._numbers.give_back(number)
            return
        ending = asyncio.get_running_loop().create_task(self._end(instance, number))
        done, _ = await asyncio.wait([ending], timeout=PATIENCE)
        if not done:
            self._hanging.add(ending)
            ending.add_done_callback(self._ended)
            told = {"instance": number, "work": str(instance.work), "disabled": self.disabled}
            log.error("an instance does not end: its slot is disabled", extra=told)
            self.changed()

    async def _end(self, instance: Instance, number: int) -> None:
        await instance.destroy()
        self._numbers.give_back(number)

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._hanging.discard(ending)
        if not ending.cancelled():
            log.warning("an instance has ended at last: its slot is enabled", extra={"disabled": self.disabled})
            self.changed()

    async def close(self) -> None:
        """Wait for nothing any more."""
        hanging = list(self._hanging)
        for ending in hanging:
            ending.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
