"""The factory of one pool's instances, which makes and ends them.

An instance takes three things in turn, and gives them back in reverse: an allocation, where instances
are reserved by Nomad; room on the node; the instance itself, with the pool's assets in it. After a
failure on the way, or a cancellation, what was taken is given back before the error is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from scheduler.agent.log import Log
from scheduler.agent.pools.assets import Assets
from scheduler.agent.pools.context import AgentContext
from scheduler.agent.slots.reservations import Reservations
from scheduler.common.backoff import Backoff
from scheduler.model.wire import PoolSpec
from scheduler.providers import Instance, InstanceError, InstanceSpec

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
# The number of failures in a row after which the pool gives up; pauses between tries, in seconds.
MAX_FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.4, 10.0


class NoPlaceError(Exception):
    """The allocation that an instance was to have was taken away."""


class InstanceFactory:
    """The instance factory of one pool."""

    def __init__(
        self, node: AgentContext, log: Log, limits: InstanceSpec, assets: Assets, places: Reservations
    ) -> None:
        self._node = node
        self._log = log
        self._limits = limits
        self._assets = assets
        self._places = places
        self._failures = 0
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    async def make(self) -> Instance:
        """Make an instance, once there is room for it. Raises NoPlaceError, AssetError, InstanceError or OSError."""
        place = self._places.take()
        if place is None and self._places.booked is not None:
            raise NoPlaceError
        try:
            await self._node.slots.room(self._node.stores.own.root)
            instance = await self._create()
        except BaseException:
            self._places.leave(place)
            raise
        self._places.fill(instance.number, place)
        try:
            await self._assets.hold()
            if self._assets.any and not instance.initialized:
                await asyncio.to_thread(self._assets.copy, instance.work / "assets")
        except BaseException:
            await self.end(instance)
            raise
        return instance

    def succeeded(self) -> None:
        """Reset the count of failures: an instance was made and runs."""
        self._failures = 0
        self._backoff.reset()

    def failed(self, why: str) -> bool:
        """Count a failure. True if there were too many in a row."""
        self._failures += 1
        self._log.error("an instance could not be made", why=why, failures=self._failures)
        return self._failures >= MAX_FAILURES

    async def rest(self) -> None:
        """Wait until the next try is due."""
        await asyncio.sleep(self._backoff.next())

    async def _create(self) -> Instance:
        creating = asyncio.ensure_future(self._node.provider.create(self._limits))
        try:
            return await asyncio.shield(creating)  # half an instance could not be removed
        except asyncio.CancelledError:
            with contextlib.suppress(InstanceError):
                await self._node.slots.leave(await creating)
            raise

    def end(self, instance: Instance) -> Coroutine[None, None, None]:
        """End an instance, or give up waiting for that after a while. It counts as ending from this call on."""
        return self._end(instance, self._node.slots.leave(instance))

    async def _end(self, instance: Instance, leaving: Coroutine[None, None, None]) -> None:
        await leaving
        self._places.vacate(instance.number)


def limits_of(spec: PoolSpec) -> InstanceSpec:
    """The limits with which a pool's instances are made."""
    return InstanceSpec(spec.memory_mb * MEGABYTE, spec.disk_gb * GIGABYTE, spec.image, f"{spec.job}/{spec.phase}")
