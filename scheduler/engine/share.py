"""Fair share: how many instances each pool should have on a node.

A node has slots, and memory that the tiers of its instances may not exceed. Pools have
demand: tasks that are ready or running. Four principles, in order:

1. The kernel shares processors, disks and networks better than we could: we hand out
   instances, and never look at how busy the machine is.
2. A busy node still answers a newcomer at once. So when there are slots enough, some
   are a *reserve*: a pool's first instance may take it, its second may not.
3. The rest goes in proportion to demand, at least one each while there are enough.
   With more pools than slots they take turns: who waits longest comes first, who has
   had an instance longest gives it up.
4. To move an instance from one pool to another costs a new instance. So ties go to the
   pool that has one, a pool keeps its instances for a quantum before it may be asked
   for one, and a pool without demand keeps its own while nobody wants the slot.

Example: 8 slots (reserve 1), pools A with 900 ready and B with 100. One each, and of the
5 left A gets 5 × 900/1000 = 4.5 and B 0.5: the tie of the last slot goes to whoever has it.
A newcomer C gets the reserve at once, and at the next turn A or B gives one back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Slots below which no reserve is kept: with few, each counts.
RESERVE_FROM = 4
RESERVE_DIVISOR = 8


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool's claim. `since`: when it last got or lost its last instance (any clock; larger is later)."""

    id: int
    demand: int
    instances: int
    memory_mb: int
    since: float = 0.0
    settled: bool = True  # it has had its instances for at least a quantum, and may be asked for one


@dataclass(frozen=True, slots=True)
class Capacity:
    slots: int
    memory_mb: int


def reserve(slots: int) -> int:
    return max(1, slots // RESERVE_DIVISOR) if slots >= RESERVE_FROM else 0


def share(pools: Sequence[Pool], capacity: Capacity) -> dict[int, int]:
    """Instances per pool id; pools that should have none are in it with 0.

    The sum is at most `capacity.slots`, and the memory at most `capacity.memory_mb`. A pool
    whose tier is larger than that has none here (`fit` says what becomes of it).
    """
    ledger = _Ledger(capacity, {pool.id: 0 for pool in pools})
    claimants = [pool for pool in pools if pool.demand > 0]
    for pool in sorted(claimants, key=_turn):
        ledger.give(pool, 1)
    holders = [pool for pool in claimants if ledger.given[pool.id]]
    _proportional(holders, ledger, reserve(capacity.slots))
    for pool in sorted(pools, key=_turn):
        if not pool.demand:
            ledger.give(pool, pool.instances)
    return ledger.given


class _Ledger:
    """What was given so far, and what is left."""

    def __init__(self, capacity: Capacity, given: dict[int, int]) -> None:
        self.given = given
        self.slots = capacity.slots
        self.memory = capacity.memory_mb

    def give(self, pool: Pool, wanted: int) -> None:
        for _ in range(min(wanted, self.slots)):
            if pool.memory_mb > self.memory:
                return
            self.given[pool.id] += 1
            self.slots -= 1
            self.memory -= pool.memory_mb


def _turn(pool: Pool) -> tuple[int, float, int]:
    """Order in which first instances are given: who may not be asked yet, then who waits, the longest first,
    and last those that have had theirs for a quantum, the longest of them last of all."""
    if pool.instances == 0:
        return 1, pool.since, pool.id
    return (2, -pool.since, pool.id) if pool.settled else (0, pool.since, pool.id)


def _proportional(pools: Iterable[Pool], ledger: _Ledger, kept: int) -> None:
    """Hand out what is left beyond the reserve, each to whoever is furthest below its share."""
    wanting = {pool.id: pool for pool in pools if pool.demand > ledger.given[pool.id]}
    while wanting and ledger.slots > kept:
        pool = min(wanting.values(), key=lambda pool: (*_fullness(pool, ledger.given[pool.id]), pool.id))
        before = ledger.given[pool.id]
        ledger.give(pool, 1)
        if ledger.given[pool.id] == before or ledger.given[pool.id] >= pool.demand:
            del wanting[pool.id]


def _fullness(pool: Pool, given: int) -> tuple[float, int]:
    """How full a pool would be with one more; among equals, one that need not make an instance comes first."""
    return ((given + 1) / pool.demand, 0 if pool.instances > given else 1)
