"""The slots of a pool on this node: unlimited, or, where Nomad reserves them, one per allocation.

In the second case each instance of the pool takes the slot of an `ReservedInstance`, an allocation whose
launcher has called the agent, and ends when that allocation ends.
"""

from __future__ import annotations

from collections.abc import Callable

from scheduler.agent.slots.reserved_instances import ReservedInstance, ReservedInstances
from scheduler.model.wire import PoolState


class Reservations:
    """The slots of one pool. `arrivals` is None where nothing is reserved."""

    def __init__(self, arrivals: ReservedInstances | None, pool: int, changed: Callable[[], None]) -> None:
        self._arrivals = arrivals
        self._pool = pool
        self._changed = changed
        self._taken: dict[int, ReservedInstance] = {}  # by the number of the instance
        if arrivals is not None:
            arrivals.attach(pool, changed)

    @property
    def booked(self) -> int | None:
        return None if self._arrivals is None else self._arrivals.count(self._pool)

    def limit(self, wanted: int) -> int:
        """The number of instances that the pool may have, `wanted` at most."""
        return wanted if self._arrivals is None else min(wanted, self._arrivals.count(self._pool))

    def want(self, number: int) -> None:
        """Release allocations beyond `number`."""
        if self._arrivals is not None:
            self._arrivals.want(self._pool, number)

    def take(self) -> ReservedInstance | None:
        """An allocation for an instance that is to be made; None if nothing is reserved, or none is free."""
        return None if self._arrivals is None else self._arrivals.take(self._pool)

    def fill(self, number: int, place: ReservedInstance | None) -> None:
        """Record that an instance is being made in this allocation."""
        if place is not None:
            self._taken[number] = place

    def leave(self, place: ReservedInstance | None) -> None:
        """Give an allocation back: its instance was not made after all, or has ended."""
        if self._arrivals is not None and place is not None:
            self._arrivals.give_back(place)

    def vacate(self, number: int) -> None:
        """Give back the allocation of an instance that has ended."""
        self.leave(self._taken.pop(number, None))

    def leaving(self, number: int) -> bool:
        """Whether an instance must end after its task."""
        return number in self._taken and self._taken[number].leaving

    def gone(self, number: int) -> bool:
        """Whether an instance must end now."""
        return number in self._taken and self._taken[number].gone

    def close(self, over: bool) -> None:
        """Detach the pool; `over`: it has ended everywhere, and releases its allocations."""
        if self._arrivals is not None:
            if over:
                self._arrivals.want(self._pool, 0)
            self._arrivals.detach(self._pool, self._changed)


def strangers(arrivals: ReservedInstances | None, known: set[int]) -> list[PoolState]:
    """The states of pools for which launchers have called and that this agent does not know."""
    if arrivals is None:
        return []
    counts = arrivals.counts()
    return [
        PoolState.model_construct(pool=pool, instances=0, room=0, booked=number)
        for pool, number in counts.items()
        if pool not in known
    ]
