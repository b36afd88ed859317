"""Places of interactive sessions: a user who waits for a terminal does not wait for other tasks.

A session is one task in one instance, which mostly waits for keys. So a node has places for sessions beyond its slots:
half as many as there are slots, at least one, and at most `PER_ACCOUNT` of them for one account. In such a place an
instance begins at once if there is memory for it, which has no exception. Sessions that find no place are tasks as any
other, and share the slots (`fair_share`).

Which sessions have places follows from the pools alone: those that have an instance come before those that wait, and
these in the order in which they began to wait. So a place is kept until the session is over.

Where Nomad places instances, the cluster has as many places as if it were one node (`instance_counts`).

Example: 4 slots, all taken for an hour by jill's job. She logs in twice, at once; her third session waits for a slot.
The places are full then: jack's first session begins beyond the slots as any first instance of an account does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scheduler.engine.fair_share import PoolShare

PER_ACCOUNT = 2
SLOTS_PER_PLACE = 2


def places(slots: int) -> int:
    """Number of places for sessions on a node."""
    return max(1, slots // SLOTS_PER_PLACE) if slots > 0 else 0


def seats(sessions: Sequence[PoolShare], slots: int, free_mb: int) -> dict[int, int]:
    """Target number of instances, by pool id, of the sessions that have places.

    `free_mb` is the memory that instances which begin in places may take together.
    """
    given: dict[int, int] = {}
    held: Counter[str] = Counter()
    for pool in sorted(sessions, key=lambda pool: (pool.taken == 0, pool.since, pool.id)):
        needs_mb = 0 if pool.taken else pool.memory_mb
        if len(given) < places(slots) and held[pool.account] < PER_ACCOUNT and needs_mb <= free_mb:
            given[pool.id] = min(pool.demand, 1)
            held[pool.account] += 1
            free_mb -= needs_mb
    return given
