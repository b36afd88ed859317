"""Numbers for instances: users, addresses and names are made of them, so they are small, and they rest.

A number that has become free is the last to be taken again. What an instance has left behind and is not
known of (a socket that it has passed on, say) has then nothing to meet: the next instances are others.

Example: of 64 numbers, 0 to 3 are in use. Instance 2 ends, and the next ones are 4, 5 and so on to 63
before there is a 2 again. When half of the numbers are in use there are as many again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

FEWEST = 64


class Numbers:
    """Free numbers from 0, those first that have been free for longest."""

    def __init__(self, taken: Collection[int] = ()) -> None:
        self._count = FEWEST
        while self._count <= 2 * max(taken, default=0):
            self._count *= 2
        self._free = deque(number for number in range(self._count) if number not in taken)

    def take(self) -> int:
        if 2 * len(self._free) <= self._count:
            self._free.extend(range(self._count, 2 * self._count))
            self._count *= 2
        return self._free.popleft()

    def give_back(self, number: int) -> None:
        self._free.append(number)
