"""The decision when the disk use of an instance must be counted again.

A count takes as long as a small task: some 0.3 ms for an empty instance, a second for a hundred thousand files.
The file system itself tells at once how much of it is free. So between two counts an instance has at most what it
had, plus what the file system has lost since, even if other processes have taken that. While this bound is below
the cap, the next count can wait for its interval: `COUNT_EVERY` seconds, or more where a count takes long.

The file system is not asked again for `LOOK_EVERY` seconds if no task can write what is left in that time.

Space that other processes give back at the same time hides what a task takes; the next count finds it.

Example: 2 GB of 8 were counted, and 100 tasks of 2 ms follow, after each of which the file system has
at most 3 GB less than at the count: not counted. One writes 7 GB: it is counted, and fails.
"""

from __future__ import annotations

import os
from asyncio import TimerHandle
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.providers.linux.disk_usage import Use

# The interval between two counts, unless one is needed earlier: seconds, or a multiple of the time that a count takes.
COUNT_EVERY = 1.0
COUNT_SHARE = 20.0
# A count that takes less than this may be made on the event loop.
QUICK_SECONDS = 0.005
# Bytes, and files, per second that no task is expected to exceed.
FASTEST, MOST_FILES = 4 << 30, 1 << 20
# Seconds between two looks at free space where much is left, and what a task may add meanwhile.
LOOK_EVERY = 0.01
MEANWHILE = Use(int(FASTEST * LOOK_EVERY), int(MOST_FILES * LOOK_EVERY))


@dataclass(slots=True)
class DiskCount:
    """The last count of one instance. A new instance contains only what its pool has put there."""

    place: str  # a path on the file system of the instance
    free: Use  # free space there, before it was counted
    due: float  # event loop time of the next one
    use: Use = field(default_factory=Use)
    quick: bool = True
    running: bool = False  # a count is running
    again: TimerHandle | None = None  # counts what ended tasks have left
    bound: Use = field(default_factory=Use)  # the most that the instance may have...
    bound_until: float = 0.0  # ... until this event loop time

    @classmethod
    def begin(cls, directory: Path, now: float) -> DiskCount:
        return cls(str(directory), free_at(directory), now + COUNT_EVERY)

    def may_exceed(self, most: Use, now: float) -> bool:
        """Whether an instance may have more than `most`, so that it must be counted.

        Called after every task: takes 3 µs, or less than one if much is left.
        """
        if now >= self.due:
            return True
        if now < self.bound_until and not self.bound.exceeds(most):
            return False
        status = os.statvfs(self.place)
        had = self.use.bytes + max(0, self.free.bytes - status.f_bfree * status.f_frsize)
        files = self.use.inodes + max(0, self.free.inodes - status.f_ffree)
        self.bound = Use(had + MEANWHILE.bytes, files + MEANWHILE.inodes)
        self.bound_until = now + LOOK_EVERY
        return had > most.bytes or files > most.inodes

    def counted(self, use: Use, free: Use, began: float, ended: float) -> None:
        self.use, self.free = use, free
        self.quick = ended - began < QUICK_SECONDS
        self.due = ended + max(COUNT_EVERY, COUNT_SHARE * (ended - began))
        self.bound_until = 0.0


def free_at(directory: Path | str) -> Use:
    """The free space of a file system."""
    status = os.statvfs(directory)
    return Use(status.f_bfree * status.f_frsize, status.f_ffree)
