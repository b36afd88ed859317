"""A pool's places on this node: as many as it likes, or, where instances are booked, as have arrived.

Each of its instances is then in the place of an `Arrival`, and goes when that goes.
"""

from __future__ import annotations

from collections.abc import Callable

from scheduler.model.wire import PoolState
from scheduler.providers.nomad.arrivals import Arrival, Arrivals


class Places:
    """Of one pool. `arrivals` is None where nothing is booked."""

    def __init__(self, arrivals: Arrivals | None, pool: int, changed: Callable[[], None]) -> None:
        self._arrivals = arrivals
        self._pool = pool
        self._changed = changed
        self._taken: dict[int, Arrival] = {}  # by the number of the instance
        if arrivals is not None:
            arrivals.attach(pool, changed)

    @property
    def booked(self) -> int | None:
        return None if self._arrivals is None else self._arrivals.count(self._pool)

    def limit(self, wanted: int) -> int:
        """How many instances there may be, of those that are wanted."""
        return wanted if self._arrivals is None else min(wanted, self._arrivals.count(self._pool))

    def want(self, number: int) -> None:
        """So many are wanted: let the others go."""
        if self._arrivals is not None:
            self._arrivals.want(self._pool, number)

    def take(self) -> Arrival | None:
        """A place for an instance that is to be made; None if nothing is booked, or there is none."""
        return None if self._arrivals is None else self._arrivals.take(self._pool)

    def fill(self, number: int, place: Arrival | None) -> None:
        """An instance is being made there."""
        if place is not None:
            self._taken[number] = place

    def leave(self, place: Arrival | None) -> None:
        """It is not made after all."""
        if self._arrivals is not None and place is not None:
            self._arrivals.give_back(place)

    def vacate(self, number: int) -> None:
        """An instance has ended."""
        self.leave(self._taken.pop(number, None))

    def leaving(self, number: int) -> bool:
        """Must an instance end, after its task?"""
        return number in self._taken and self._taken[number].leaving

    def gone(self, number: int) -> bool:
        """Must it end now?"""
        return number in self._taken and self._taken[number].gone

    def close(self, over: bool) -> None:
        """The pool is closed here; `over`: there will be no more of it."""
        if self._arrivals is not None:
            if over:
                self._arrivals.want(self._pool, 0)
            self._arrivals.detach(self._pool, self._changed)


def strangers(arrivals: Arrivals | None, known: set[int]) -> list[PoolState]:
    """Pools that launchers have called for, and that are not known here."""
    if arrivals is None:
        return []
    counts = arrivals.counts()
    return [
        PoolState.model_construct(pool=pool, instances=0, room=0, booked=number)
        for pool, number in counts.items()
        if pool not in known
    ]
