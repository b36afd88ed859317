"""Locality index: how many ready tasks of each pool belong to which node, since when, and how fast it takes them.

A count may be below zero for an instant: a task was leased before the cache learned that it is ready.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NOTHING: Final[Mapping[str, int]] = {}


@dataclass(slots=True)
class NodeBacklog:
    """The tasks that wait for one node.

    `count` of them, the time `since` which there are some, the time of the last take, and the number taken in each of
    two seconds.
    """

    count: int
    since: float
    took: float
    taken: Counter[int] = field(default_factory=Counter)

    def take(self, count: int, now: float) -> None:
        second = int(now)
        self.took = now
        self.taken = Counter({second - 1: self.taken[second - 1], second: self.taken[second] + count})

    def pace(self, now: float) -> int:
        """Number of tasks that the node takes in a second."""
        return max(self.taken[int(now)], self.taken[int(now) - 1])


class LocalityIndex:
    """A cache, as `LiveJobs.ready` is: counts change once the transaction that changed them is committed.

    Times in seconds.
    """

    def __init__(self) -> None:
        self._pools: dict[int, dict[str, NodeBacklog]] = {}

    def __bool__(self) -> bool:
        return bool(self._pools)

    def of(self, pool: int) -> Mapping[str, int]:
        """Number of ready tasks of a pool by the node that they belong to; those of no node are not included."""
        backlogs = self._pools.get(pool)
        return {node: backlog.count for node, backlog in backlogs.items()} if backlogs else NOTHING

    def backlog(self, pool: int, node: str) -> NodeBacklog | None:
        return self._pools.get(pool, {}).get(node)

    def set(self, pool: int, counts: Mapping[str, int], now: float) -> None:
        """Replace the counts of a pool by those of the records."""
        self.forget(pool)
        self.update({(pool, node): count for node, count in counts.items()}, now)

    def update(self, changes: Mapping[tuple[int, str], int], now: float) -> None:
        """Add to the counts, by (pool, node); negative numbers subtract."""
        for (pool, node), count in changes.items():
            backlog = self.backlog(pool, node)
            if backlog is None:
                backlog = self._pools.setdefault(pool, {})[node] = NodeBacklog(0, now, now)
            if backlog.count <= 0:
                backlog.since = backlog.took = now
            backlog.count += count
            if not backlog.count:
                self._drop(pool, node)

    def took(self, pool: int, taken: Mapping[str, int], home: str, now: float) -> None:
        """Record that an agent of node `home` was given tasks. `taken`: how many, by the node that they belonged to."""
        if (backlog := self.backlog(pool, home)) and home in taken:
            backlog.take(taken[home], now)
        self.update({(pool, node): -count for node, count in taken.items()}, now)

    def forget(self, pool: int) -> None:
        self._pools.pop(pool, None)

    def _drop(self, pool: int, node: str) -> None:
        del self._pools[pool][node]
        if not self._pools[pool]:
            del self._pools[pool]
