"""Fair share: how many instances each pool should have on a node.

A node has slots, and memory that the tiers of its instances may not exceed. Pools have
demand: tasks that are ready or running. Five principles, in order:

1. The kernel shares processors, disks and networks better than we could: we hand out
   instances, and never look at how busy the machine is.
2. Accounts share first, then the pools of an account among themselves (max-min fairness): an
   account that makes ten jobs has as much of the node as one that makes one.
3. A busy node still answers a newcomer at once. So when there are slots enough, some
   are a *reserve*: a pool's first instance may take it, its second may not. As much of the
   memory is kept for accounts that have none yet.
4. What an account has goes to its pools in proportion to demand, at least one each while there
   are enough. With more pools than slots they take turns: who waits longest comes first, who has
   had an instance longest gives it up.
5. To move an instance from one pool to another costs a new instance. So ties go to the
   pool that has one, a pool keeps its instances for a quantum before it may be asked
   for one, and a pool without demand keeps its own while nobody wants the slot.

These are targets. What may begin now, while tasks still run that have had their share, is
`engine.admission`'s to say.

Example: 8 slots (reserve 1), one account with pools A of 900 ready and B of 100. One each, and
of the 5 left A gets 5 × 900/1000 = 4.5 and B 0.5: the tie of the last slot goes to the pool that
has it. A pool C of another account takes the reserve at once; and as it is one of two accounts
now, it may have 4 instances, and A and B have 4 together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Slots below which no reserve is kept: with few, each counts.
RESERVE_FROM = 4
RESERVE_DIVISOR = 8
Rank = tuple[int, float, int]


@dataclass(frozen=True, slots=True)
class PoolShare:
    """One pool's claim. `since`: when it last got or lost its last instance (any clock; larger is later)."""

    id: int
    demand: int
    instances: int
    memory_mb: int
    since: float = 0.0
    settled: bool = True  # it has had its instances for at least a quantum, and may be asked for one
    account: str = ""
    present: int = 0  # instances that are there, those included that leave after their task

    @property
    def taken(self) -> int:
        """Slots that it has in use: what it was told to have, or what is still there."""
        return max(self.instances, self.present)


@dataclass(frozen=True, slots=True)
class Capacity:
    slots: int
    memory_mb: int


def reserve(slots: int) -> int:
    return max(1, slots // RESERVE_DIVISOR) if slots >= RESERVE_FROM else 0


def share(pools: Sequence[PoolShare], capacity: Capacity) -> dict[int, int]:
    """Instances per pool id; pools that should have none are in it with 0.

    The sum is at most `capacity.slots`, and the memory at most `capacity.memory_mb`. A pool
    whose tier is larger than that has none here (`feasibility` says what becomes of it).
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
    """Order in which first instances are given: pools that may not be asked yet, then those that wait, the longest
    first, and last those that have had theirs for a quantum, the longest of them last of all."""
    if pool.instances == 0:
        return 1, pool.since, pool.id
    return (2, -pool.since, pool.id) if pool.settled else (0, pool.since, pool.id)


class _Ledger:
    """What was given so far, and what is left."""

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
        self._waiting = sorted(pools, key=turn, reverse=True)  # for their first instance; the next one is the last
        self._holders: dict[int, PoolShare] = {}

    def next(self) -> tuple[Rank, PoolShare] | None:
        """The pool that is given the account's next instance, and its place among accounts that have as many."""
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
    """How full a pool would be with one more; among equals, one that need not make an instance comes first."""
    return ((given + 1) / pool.demand, 0 if pool.instances > given else 1)
