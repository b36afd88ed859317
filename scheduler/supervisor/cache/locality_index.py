"""Which of the ready tasks belong to a node: how many for each pool and node, since when, and how fast it takes them.

A count may be below zero for an instant: a task was leased before it was known here that it is ready.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NOTHING: Final[Mapping[str, int]] = {}


@dataclass(slots=True)
class NodeBacklog:
    """What waits for one node: since when there is some, when it last took any, how many in each of two seconds."""

    count: int
    since: float
    took: float
    taken: Counter[int] = field(default_factory=Counter)

    def take(self, count: int, now: float) -> None:
        second = int(now)
        self.took = now
        self.taken = Counter({second - 1: self.taken[second - 1], second: self.taken[second] + count})

    def pace(self, now: float) -> int:
        """How many it takes in a second."""
        return max(self.taken[int(now)], self.taken[int(now) - 1])


class LocalityIndex:
    """A shadow, as `LiveJobs.ready` is: counts move when what moved them is committed. Times in seconds."""

    def __init__(self) -> None:
        self._pools: dict[int, dict[str, NodeBacklog]] = {}

    def __bool__(self) -> bool:
        return bool(self._pools)

    def of(self, pool: int) -> Mapping[str, int]:
        """Ready tasks of a pool by the node that they belong to; those of no node are not in it."""
        backlogs = self._pools.get(pool)
        return {node: backlog.count for node, backlog in backlogs.items()} if backlogs else NOTHING

    def backlog(self, pool: int, node: str) -> NodeBacklog | None:
        return self._pools.get(pool, {}).get(node)

    def set(self, pool: int, counts: Mapping[str, int], now: float) -> None:
        """What was counted in the records."""
        self.forget(pool)
        self.update({(pool, node): count for node, count in counts.items()}, now)

    def update(self, changes: Mapping[tuple[int, str], int], now: float) -> None:
        """So many more (or fewer) of each."""
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
        """An agent of node `home` was given so many, by the node that they belonged to."""
        if (backlog := self.backlog(pool, home)) and home in taken:
            backlog.take(taken[home], now)
        self.update({(pool, node): -count for node, count in taken.items()}, now)

    def forget(self, pool: int) -> None:
        self._pools.pop(pool, None)

    def _drop(self, pool: int, node: str) -> None:
        del self._pools[pool][node]
        if not self._pools[pool]:
            del self._pools[pool]
