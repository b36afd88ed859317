"""Numbers of instances, from which their users, addresses and names are made, and the name of their agent.

Numbers are small, and one that has become free is the last to be taken again. An unknown leftover of
an instance (a socket that it has passed on, for example) then meets no new instance that has the same
users or address.

Example: of 64 numbers, 0 to 3 are in use. Instance 2 ends, and the next ones are 4, 5 and so on to 63
before there is a 2 again. When half of the numbers are in use, their total is doubled.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Collection
from pathlib import Path

FEWEST = 64


def owner_id(state_dir: Path) -> str:
    """The name of an agent's state directory in what lies outside it: control groups, containers, places of tools."""
    return hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]


class Numbers:
    """Free numbers from 0, of which the longest free one is taken first."""

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
