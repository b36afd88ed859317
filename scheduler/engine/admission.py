"""Admission: which instances may begin now, while instances that exceed their pool's target still run.

A target (`engine.fair_share`) can fall at once; an instance whose task runs for an hour does not end at once. So a
slot counts as *taken* as long as an instance is in it, whatever the pool's target is meanwhile, and a new instance
waits until a slot is free. Two exceptions keep newcomers from waiting behind long tasks, and neither lets the number
of instances on the node grow without bound:

- An account that has no instance at all begins one beyond the slots. At most `extra` such instances exist at a time:
  half as many as there are slots.
- An instance that is being ended has no task any more, so its successor need not wait until it is gone. Instances
  that are being ended count towards `extra`.

Memory has no exception: the tiers of all instances, including those being ended, never exceed the node's memory.

A task in a slot (`supervisor.agents.leases`: a steady task) ends without waiting for another task. So every pool
that waits for a slot gets one in the end, and no set of jobs can deadlock.

Example: 4 slots, all with tasks of one account that sleep for an hour, and six more of its jobs wait. The job of a
second account begins at once in a fifth instance, that of a third account in a sixth. A fourth account waits until
one of the six instances is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scheduler.engine.fair_share import PoolShare, turn

EXTRA_DIVISOR = 2


def extra(slots: int) -> int:
    """The largest number of instances beyond the slots."""
    return max(1, slots // EXTRA_DIVISOR) if slots > 0 else 0


def memory_taken(pools: Sequence[PoolShare]) -> int:
    """The memory (MiB) that the tiers of all instances take, including instances that leave after their task."""
    return sum(pool.taken * pool.memory_mb for pool in pools)


def admit(
    pools: Sequence[PoolShare], targets: Mapping[int, int], slots: int, free_mb: int, ending: int = 0
) -> dict[int, int]:
    """The targets, reduced to the instances that each pool may have now: by pool id, number of instances.

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
