"""Prepared instances: a few of the default tiers that exist before a pool asks for one.

An instance costs 10 ms as a process and 100 ms as a container, and several times that on a busy
machine. A job with one short task would mostly wait for it. So the agent keeps some at hand:
disk, root file system and lackey are there, and nothing of a tenant is in them. A pool that asks for the
same tiers and the same image gets one at once; another is made in its place, beside the task.

An instance is given away once and ends with its pool, prepared or not: no second tenant sees it. While
the node lacks room for an instance none is prepared. Survivors of a killed agent that belong to the
pool come first, since they are initialized already.

Example: with two prepared containers a job's first task begins 5 ms after its lease; the third job
within a second waits for its container as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from scheduler.common.background import TaskSet
from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB
from scheduler.providers import Instance, InstanceError, InstanceSpec, NoImageError, Provider
from scheduler.providers.isolation import Isolation

# Seconds after which another is made in the place of one that was given away: by then a short task has begun, which
# would wait while the agent starts a process.
PAUSE_SECONDS = 0.03
DEFAULT = InstanceSpec(DEFAULT_MEMORY_MB << 20, DEFAULT_DISK_GB << 30)
log = logging.getLogger("remora.agent")


class PreparedInstances:
    """A provider that keeps `count` default instances of another one ready. See `scheduler.providers.Provider`."""

    def __init__(self, provider: Provider, count: int, shortage: Callable[[], str | None]) -> None:
        """`shortage`: the resource that is too scarce for one more instance, or None."""
        self.name = provider.name
        self._provider = provider
        self._count = count
        self._shortage = shortage
        self._ready: list[Instance] = []
        self._making = 0
        self._background = TaskSet(failed)
        self._closed = False

    @property
    def isolation(self) -> Isolation:
        return self._provider.isolation

    @property
    def ready(self) -> int:
        """The number of instances that are at hand."""
        return len(self._ready)

    async def prepare(self) -> None:
        """Begin to make the instances; the agent does not wait for them."""
        self._refill()

    async def create(self, spec: InstanceSpec) -> Instance:
        if self._provider.has_survivor(spec):
            return await self._provider.create(spec)
        instance = self._take(spec)
        if self._count:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._refill)
        return await self._provider.create(spec) if instance is None else instance

    def has_survivor(self, spec: InstanceSpec) -> bool:
        return self._provider.has_survivor(spec)

    def assign(self, instance: Instance, spec: InstanceSpec) -> bool:
        return self._provider.assign(instance, spec)

    async def close(self) -> None:
        self._closed = True
        while self._background.tasks:
            await asyncio.wait(self._background.tasks)
        await asyncio.gather(*(instance.destroy() for instance in self._ready))
        await self._provider.close()

    def _take(self, spec: InstanceSpec) -> Instance | None:
        """A ready instance, given to the pool of `spec`; None if there is none that it can have."""
        for instance in list(self._ready):
            with contextlib.suppress(NoImageError):
                if self._provider.assign(instance, spec):
                    self._ready.remove(instance)
                    return instance
            if replace(spec, pool="") == DEFAULT:  # its image is no longer the newest
                self._ready.remove(instance)
                self._background.spawn(instance.destroy())
        return None

    def _refill(self) -> None:
        """Make as many instances as are missing, if there is room for them."""
        while len(self._ready) + self._making < self._count and not self._closed and self._shortage() is None:
            self._making += 1
            self._background.spawn(self._make())

    async def _make(self) -> None:
        try:
            self._ready.append(await self._provider.create(DEFAULT))
        except InstanceError as error:
            log.warning("an instance could not be prepared", extra={"why": str(error)})
        finally:
            self._making -= 1


def failed(error: BaseException) -> None:
    log.error("an instance could not be prepared", exc_info=error)
