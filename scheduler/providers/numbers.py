"""Numbers for instances, kept small: users and names are made of them."""

from __future__ import annotations

import heapq
from collections.abc import Collection


class Numbers:
    """The smallest free numbers, from 0."""

    def __init__(self, taken: Collection[int] = ()) -> None:
        self._next = max(taken, default=-1) + 1
        self._free = [number for number in range(self._next) if number not in taken]

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        heapq.heappush(self._free, number)
