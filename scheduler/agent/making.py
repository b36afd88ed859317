"""Making the instances of one pool, and ending them.

Three things are taken in turn, and given back in reverse: a place, where instances are booked; room
on the node; the instance itself, with the pool's assets in it. Whatever fails on the way, and when
we are told to stop meanwhile, what was taken is given back before the reason is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from scheduler.agent.assets import Assets
from scheduler.agent.log import Log
from scheduler.agent.node import Node
from scheduler.agent.places import Places
from scheduler.common.backoff import Backoff
from scheduler.model.wire import PoolSpec
from scheduler.providers import Instance, InstanceError, InstanceSpec

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
# In a row; and seconds between tries.
MAX_FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.4, 10.0


class NoPlaceError(Exception):
    """The place that an instance was to have was taken away."""


class Maker:
    """Of one pool."""

    def __init__(self, node: Node, log: Log, limits: InstanceSpec, assets: Assets, places: Places) -> None:
        self._node = node
        self._log = log
        self._limits = limits
        self._assets = assets
        self._places = places
        self._failures = 0
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    async def make(self) -> Instance:
        """An instance, once there is room for it. Raises NoPlaceError, AssetError, InstanceError or OSError."""
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
            if not instance.initialized:
                await asyncio.to_thread(self._assets.copy, instance.work / "assets")
        except BaseException:
            await self.end(instance)
            raise
        return instance

    def succeeded(self) -> None:
        """An instance was made and runs."""
        self._failures = 0
        self._backoff.reset()

    def failed(self, why: str) -> bool:
        """One could not be made, or did not get ready. True if that has happened too often in a row."""
        self._failures += 1
        self._log.error("an instance could not be made", why=why, failures=self._failures)
        return self._failures >= MAX_FAILURES

    async def rest(self) -> None:
        """Until it may be tried again."""
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
        """End it, or give up waiting for that after a while. It counts as ending from this call on."""
        return self._end(instance, self._node.slots.leave(instance))

    async def _end(self, instance: Instance, leaving: Coroutine[None, None, None]) -> None:
        await leaving
        self._places.vacate(instance.number)


def limits_of(spec: PoolSpec) -> InstanceSpec:
    """What an instance of a pool is made for."""
    return InstanceSpec(spec.memory_mb * MEGABYTE, spec.disk_gb * GIGABYTE, spec.image, f"{spec.job}/{spec.phase}")
