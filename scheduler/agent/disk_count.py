"""When the disk that an instance has in use must be counted again.

To count takes as long as a small task: some 0.3 ms for an empty instance, a second for a hundred thousand files.
The file system itself tells at once how much is free of it. So between two counts an instance has at
most what it had, and what the file system has lost since, whoever has taken that. While that is within the
cap, a count can wait for its time: `COUNT_EVERY` seconds, or more where it takes long.

What somebody else gives back at the same time hides what a task takes; the next count finds it.

Example: 2 GB of 8 were counted, and 100 tasks of 2 ms follow, after each of which the file system has
3 GB less than at the count, or less: not counted. One writes 7 GB: it is counted, and fails.
"""

from __future__ import annotations

import os
from asyncio import TimerHandle
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.providers.disk import Use

# Seconds between two counts, if nothing asks for one earlier; or so many times what a count takes.
COUNT_EVERY = 1.0
COUNT_SHARE = 20.0
# A count that takes less may be made between two events.
QUICK_SECONDS = 0.005


@dataclass(slots=True)
class DiskCount:
    """The last count of one instance. There is nothing in a new one but what its pool has put there."""

    place: str  # on the file system that it lies on
    free: Use  # of that, before it was counted
    due: float  # event loop time of the next one
    use: Use = field(default_factory=Use)
    quick: bool = True
    running: bool = False  # a count is under way
    again: TimerHandle | None = None  # which counts what ended tasks have left

    @classmethod
    def begin(cls, directory: Path, now: float) -> DiskCount:
        return cls(str(directory), free_at(directory), now + COUNT_EVERY)

    def may_exceed(self, most: Use, now: float) -> bool:
        """Must it be counted? This is asked after every task, so it takes some 3 µs."""
        if now >= self.due:
            return True
        status = os.statvfs(self.place)
        lost = self.free.bytes - status.f_bfree * status.f_frsize
        if self.use.bytes + max(0, lost) > most.bytes:
            return True
        return self.use.inodes + max(0, self.free.inodes - status.f_ffree) > most.inodes

    def counted(self, use: Use, free: Use, began: float, ended: float) -> None:
        self.use, self.free = use, free
        self.quick = ended - began < QUICK_SECONDS
        self.due = ended + max(COUNT_EVERY, COUNT_SHARE * (ended - began))


def free_at(directory: Path | str) -> Use:
    """What is free of a file system."""
    status = os.statvfs(directory)
    return Use(status.f_bfree * status.f_frsize, status.f_ffree)
