"""Which instances may begin now, while others still run that have had their share.

A target (`engine.fair_share`) can fall at once; an instance whose task runs for an hour does not. So
a slot is *taken* as long as an instance is in it, whatever its pool is told meanwhile, and what
is to begin waits until a slot is free. Two exceptions keep newcomers from waiting behind long
tasks, and neither lets the node fill without bound:

- An account that has no instance at all begins one beyond the slots: at most `extra` of these
  at a time, half as many as there are slots.
- An instance that is being ended has no task any more, so the next one need not wait for its end:
  but these count with the extra ones.

Memory has no exception: what is taken by tier, what is being ended included, is never more than
there is.

A steady task (`supervisor.agents.leases`) ends without waiting for another task, so whatever waits for a
slot gets one in the end, and no set of jobs can lock itself up by this.

Example: 4 slots, all with tasks of one account that sleep for an hour, and six more of its jobs
wait. Another account's job begins at once, in a fifth place, and a third account's in a sixth. A
fourth account waits until one of the six instances is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scheduler.engine.fair_share import PoolShare, turn

EXTRA_DIVISOR = 2


def extra(slots: int) -> int:
    """How many instances there may be beyond the slots."""
    return max(1, slots // EXTRA_DIVISOR) if slots > 0 else 0


def memory_taken(pools: Sequence[PoolShare]) -> int:
    """MiB that the tiers of all instances have, those included that leave after their task."""
    return sum(pool.taken * pool.memory_mb for pool in pools)


def admit(
    pools: Sequence[PoolShare], targets: Mapping[int, int], slots: int, free_mb: int, ending: int = 0
) -> dict[int, int]:
    """The targets, as far as pools may have their instances now.

    `free_mb` is the memory that is not taken, `ending` the number of instances that are being ended.
    """
    admitted = {pool.id: min(targets[pool.id], pool.taken) for pool in pools}
    held = Counter({pool.account: 0 for pool in pools})
    for pool in pools:
        held[pool.account] += pool.taken
    free = slots - held.total()
    places = free + extra(slots) - ending
    growing = [pool for pool in pools if targets[pool.id] > pool.taken]
    while places > 0 and (able := [pool for pool in growing if pool.memory_mb <= free_mb]):
        pool = min(able, key=lambda pool: (held[pool.account], turn(pool)))
        if free <= 0 and held[pool.account]:
            break
        admitted[pool.id] += 1
        held[pool.account] += 1
        free, places, free_mb = free - 1, places - 1, free_mb - pool.memory_mb
        growing = [pool for pool in able if targets[pool.id] > admitted[pool.id]]
    return admitted
