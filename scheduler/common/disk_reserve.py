"""The reserve: the part of a file system that must stay free.

A service on a full disk could not even record that a task has failed. So each file system that we write to has a
*reserve*: 1 % of it, at least 64 MiB and at most 1 GiB, but never more than a sixteenth of a small one. Below that the
disk counts as short: the agent ends the task that has written most, no task begins, and `/healthz` says so. The last
quarter of the reserve is for records alone: no object is accepted that would use it.

Inodes run out like bytes, and then no file can be made: the same holds for them.

Example: a file system of 400 MB has a reserve of 25 MB, one of 100 GB 1 GiB; a PUT may use all but 6 MB of the first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

KILOBYTE, MEGABYTE, GIGABYTE = 1 << 10, 1 << 20, 1 << 30
SMALL = 16
RESERVED_FILES = 1000
AMPLE_FILES = 20_000
# The part of the reserve that only records may use, and the part below which the disk counts as full: one in so many.
RECORDS_SHARE = 4
FULL_SHARE = 16


def reserve(total: int) -> int:
    """Bytes that must stay free of a file system of `total` bytes."""
    return min(max(64 * MEGABYTE, min(total // 100, GIGABYTE)), total // SMALL)


@dataclass(frozen=True, slots=True)
class Space:
    """The size of a file system and its free space for us, in bytes and in files (0 of 0: it does not count files)."""

    free: int
    total: int
    free_files: int = 0
    files: int = 0

    @property
    def reserve(self) -> int:
        return reserve(self.total)

    @property
    def few_files(self) -> bool:
        return self.free_files < min(RESERVED_FILES, self.files // SMALL)

    @property
    def short(self) -> bool:
        """Whether less is free than the reserve."""
        return self.free < self.reserve or self.few_files

    @property
    def full(self) -> bool:
        """Whether so little is left that the latest writes may be incomplete."""
        return self.free < self.reserve // FULL_SHARE or (self.files > 0 and not self.free_files)

    @property
    def for_objects(self) -> int:
        """Bytes that objects may use."""
        return max(0, self.free - self.reserve // RECORDS_SHARE)

    def __str__(self) -> str:
        if self.few_files:
            return f"{self.free_files} of {self.files} files are free"
        return f"{sized(self.free)} of {sized(self.total)} are free"


def space_at(place: Path | str | int) -> Space:
    """The space of the file system that holds a directory, or an open file. Raises OSError."""
    return space_of(os.statvfs(place))


def is_ample(status: os.statvfs_result) -> bool:
    """Whether more is free than the largest reserve, and the disk cannot become full within some 10 ms.

    The answer takes a microsecond.
    """
    ample = status.f_bavail * status.f_frsize >= GIGABYTE
    return ample and (status.f_favail >= AMPLE_FILES or not status.f_files)


def space_of(status: os.statvfs_result) -> Space:
    unit = status.f_frsize
    return Space(status.f_bavail * unit, status.f_blocks * unit, status.f_favail, status.f_files)


def sized(size: int) -> str:
    """A number of bytes for people: `5 bytes`, `12 MB`, `3.4 GB`."""
    if size < KILOBYTE:
        return "1 byte" if size == 1 else f"{size} bytes"
    if size < MEGABYTE:
        return f"{size // KILOBYTE} KB"
    return f"{size // MEGABYTE} MB" if size < GIGABYTE else f"{size / GIGABYTE:.1f} GB"
