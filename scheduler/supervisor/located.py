"""Which of the ready tasks belong to a node: a count for each pool and node, and since when nobody took any.

A count may be below zero for an instant: a task was leased before it was known here that it is ready.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

NOTHING: Final[Mapping[str, int]] = {}


class Located:
    """A shadow, as `LiveJobs.ready` is: counts move when what moved them is committed."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[str, int]] = {}
        self._since: dict[tuple[int, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def of(self, pool: int) -> Mapping[str, int]:
        """Ready tasks of a pool by the node that they belong to; those of no node are not in it."""
        return self._counts.get(pool, NOTHING)

    def set(self, pool: int, counts: Mapping[str, int], now: float) -> None:
        """What was counted in the records."""
        self.forget(pool)
        self.update({(pool, node): count for node, count in counts.items()}, now)

    def update(self, changes: Mapping[tuple[int, str], int], now: float) -> None:
        """So many more (or fewer) of each."""
        for (pool, node), count in changes.items():
            left = self.of(pool).get(node, 0) + count
            if left:
                self._counts.setdefault(pool, {})[node] = left
            else:
                self._drop(pool, node)
            if left > 0:
                self._since.setdefault((pool, node), now)
            else:
                self._since.pop((pool, node), None)

    def took(self, pool: int, taken: Counter[str], home: str, now: float) -> None:
        """An agent of node `home` was given so many, by the node that they belonged to."""
        self.update({(pool, node): -count for node, count in taken.items()}, now)
        if (pool, home) in self._since and taken[home]:
            self._since[pool, home] = now

    def idle(self, pool: int, node: str, now: float) -> float:
        """Seconds for which the node has taken none of its own, although there were some."""
        return now - self._since.get((pool, node), now)

    def forget(self, pool: int) -> None:
        for node in list(self.of(pool)):
            self._drop(pool, node)

    def __iter__(self) -> Iterator[int]:
        return iter(self._counts)

    def _drop(self, pool: int, node: str) -> None:
        self._since.pop((pool, node), None)
        if counts := self._counts.get(pool):
            counts.pop(node, None)
            if not counts:
                del self._counts[pool]
