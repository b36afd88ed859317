"""Fair share: how many instances each pool should have on a node.

A node has slots, and memory that the tiers of its instances may not exceed. Pools have demand: tasks that are ready
or running. Five principles, in order:

1. The kernel shares processors, disks and networks better than a scheduler could. So the scheduler assigns only
   instances, and never measures how busy the machine is.
2. Accounts share first, then the pools of an account among themselves (max-min fairness): an account with ten jobs
   gets as much of the node as an account with one.
3. A busy node still answers a newcomer at once. So on a node with slots enough, some are a *reserve*: the first
   instance of a pool may take a reserved slot, its second may not. The same fraction of the memory is kept for
   accounts that have none yet.
4. The instances of an account go to its pools in proportion to demand, at least one each while there are enough.
   With more pools than slots the pools take turns: the pool that has waited longest comes first, and the pool that
   has had its instance longest gives it up.
5. To move an instance from one pool to another costs a new instance. So ties go to the pool that has the instance, a
   pool keeps its instances for a quantum before one may be taken from it, and a pool without demand keeps its own
   while no other pool wants the slot.

The results are targets. `engine.admission` decides which instances may begin now, while tasks of earlier targets
still run.

Example: 8 slots (reserve 1), one account with pools A of 900 ready tasks and B of 100. One each, and of the 5 left A
gets 5 × 900/1000 = 4.5 and B 0.5: the tie for the last slot goes to the pool that has it. A pool C of another account
takes the reserve at once; it is one of two accounts now, so it may have 4 instances, and A and B have 4 together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The number of slots below which no reserve is kept: on a small node each slot counts.
RESERVE_FROM = 4
RESERVE_DIVISOR = 8
Rank = tuple[int, float, int]


@dataclass(frozen=True, slots=True)
class PoolShare:
    """The demand and the present instances of one pool.

    `since`: when it last got or lost its last instance (any clock; larger is later).
    """

    id: int
    demand: int
    instances: int
    memory_mb: int
    since: float = 0.0
    settled: bool = True  # it has had its instances for at least a quantum, so one may be taken from it
    account: str = ""
    present: int = 0  # existing instances, including those that leave after their task

    @property
    def taken(self) -> int:
        """The slots in use: the number that the pool was told to have, or that still exists, whichever is larger."""
        return max(self.instances, self.present)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The slots and the memory of a node that pools may share."""

    slots: int
    memory_mb: int


def reserve(slots: int) -> int:
    return max(1, slots // RESERVE_DIVISOR) if slots >= RESERVE_FROM else 0


def share(pools: Sequence[PoolShare], capacity: Capacity) -> dict[int, int]:
    """Target number of instances by pool id; a pool that should have none is included with 0.

    The sum is at most `capacity.slots`, and the memory at most `capacity.memory_mb`. A pool whose tier is larger than
    that gets none here (`feasibility` decides what happens to its tasks).
    """
    ledger = _Ledger(capacity, {pool.id: 0 for pool in pools})
    names = sorted({pool.account for pool in pools if pool.demand})
    accounts = [_Account((pool for pool in pools if pool.account == name and pool.demand), ledger) for name in names]
    while offers := [(account.given, *offer, account) for account in accounts if (offer := account.next())]:
        _, _, pool, account = min(offers, key=lambda offer: offer[:2])
        account.give(pool)
    for pool in sorted(pools, key=turn):
        for _ in range(0 if pool.demand else pool.instances):
            if ledger.slots and pool.memory_mb <= ledger.memory:
                ledger.give(pool)
    return ledger.given


def turn(pool: PoolShare) -> Rank:
    """The rank of a pool when first instances are given.

    Pools within their quantum come first; then those without an instance, the longest wait first; then those beyond
    their quantum, the longest of them last.
    """
    if pool.instances == 0:
        return 1, pool.since, pool.id
    return (2, -pool.since, pool.id) if pool.settled else (0, pool.since, pool.id)


class _Ledger:
    """The instances assigned so far, and the slots and memory left."""

    def __init__(self, capacity: Capacity, given: dict[int, int]) -> None:
        self.given = given
        self.slots = capacity.slots
        self.memory = capacity.memory_mb
        self.kept_slots = reserve(capacity.slots)
        self.kept_memory = capacity.memory_mb // RESERVE_DIVISOR if self.kept_slots else 0

    def give(self, pool: PoolShare) -> None:
        self.given[pool.id] += 1
        self.slots -= 1
        self.memory -= pool.memory_mb


class _Account:
    """The pools of one account, in the order in which they are given instances."""

    def __init__(self, pools: Iterable[PoolShare], ledger: _Ledger) -> None:
        self.given = 0
        self._ledger = ledger
        self._waiting = sorted(pools, key=turn, reverse=True)  # for their first instance; the next one is last
        self._holders: dict[int, PoolShare] = {}

    def next(self) -> tuple[Rank, PoolShare] | None:
        """The pool that gets the account's next instance, and its rank among accounts that have as many instances."""
        while self._waiting and not self._fits(self._waiting[-1]):
            self._waiting.pop()
        if self._waiting:
            return turn(self._waiting[-1]), self._waiting[-1]
        if self._ledger.slots <= self._ledger.kept_slots:
            return None
        given = self._ledger.given
        self._holders = {p.id: p for p in self._holders.values() if p.demand > given[p.id] and self._fits(p)}
        if not self._holders:
            return None
        pool = min(self._holders.values(), key=lambda pool: (*_fullness(pool, given[pool.id]), pool.id))
        return (0 if pool.instances > given[pool.id] else 3, 0.0, pool.id), pool

    def give(self, pool: PoolShare) -> None:
        if self._waiting:
            self._waiting.pop()
            self._holders[pool.id] = pool
        self.given += 1
        self._ledger.give(pool)

    def _fits(self, pool: PoolShare) -> bool:
        kept = self._ledger.kept_memory if self.given else 0
        return self._ledger.slots > 0 and pool.memory_mb + kept <= self._ledger.memory


def _fullness(pool: PoolShare, given: int) -> tuple[float, int]:
    """The rank of a pool by how full one more makes it; among equals, a pool that has that instance comes first."""
    return ((given + 1) / pool.demand, 0 if pool.instances > given else 1)
