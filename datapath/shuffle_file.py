"""Shuffle files: the lines of one task, by the partitions that read them.

`mpartition` writes them; `include/shuffle/shuffle.h` has the layout. This module finds the extents of a partition, so
that a feed can pass just those on. A task's program wrote the file and may lie, so a file is *checked* once, when the
task ends: magic, version, hash, counts, and extents that cover the file without gap or overlap. After that it is
immutable, and a reader *finds* its partition with three small reads.

Example: `check(fd, partitions=8).extents(3)` are the extents of partition 3, and so are `find(fd, 3)`.
"""

from __future__ import annotations

import heapq
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from datapath import split

MAGIC = b"REMSHUFF"
VERSION = 1
MAX_PARTITIONS = 5000
# An index of 64 MiB: with full buffers of 64 KiB that many extents have 256 GiB.
MAX_EXTENTS = 1 << 22
ZERO_TERMINATED = 1
ALIGNED = 8
FOOTER = struct.Struct("<8sIIIIQQQ")
HASHED = FOOTER.size - 8  # of the footer, what the hash covers
EXTENT = struct.Struct("<QII")
Read = Callable[[int, int], bytes]  # (bytes, offset): as os.pread of one file


class NotAShuffleFileError(Exception):
    """The reason why a file is no shuffle file of the expected partitions: the end of a sentence."""


class Extent(NamedTuple):
    """A piece of one partition, `length` bytes at `at`, in which so many lines end."""

    at: int
    length: int
    lines: int


@dataclass(frozen=True, slots=True)
class Footer:
    """The last bytes of a file, from which the places of all else follow."""

    partitions: int
    extents: int
    flags: int
    index: int
    lines: int
    hash: int

    @property
    def extents_at(self) -> int:
        return self.index + _aligned(4 * (self.partitions + 1))

    @property
    def digests_at(self) -> int:
        return self.extents_at + EXTENT.size * self.extents

    @property
    def end(self) -> int:
        """Where the index ends and the footer begins."""
        return self.digests_at + 8 * self.partitions


@dataclass(frozen=True, slots=True)
class ShuffleFile:
    """A file that was checked. `first` has where each partition's extents begin in the index, and the end.

    The index stays bytes: millions of extents as objects would take gigabytes.
    """

    footer: Footer
    first: tuple[int, ...]
    index: bytes

    @property
    def digests(self) -> tuple[int, ...]:
        return struct.unpack_from(f"<{self.partitions}Q", self.index, self.footer.digests_at - self.footer.index)

    @property
    def partitions(self) -> int:
        return self.footer.partitions

    @property
    def lines(self) -> int:
        return self.footer.lines

    def extents(self, partition: int) -> tuple[Extent, ...]:
        """The extents of a partition, in the order of its lines."""
        return tuple(self._extents(partition))

    def _extents(self, partition: int) -> Iterator[Extent]:
        base = self.footer.extents_at - self.footer.index
        begin, end = (base + EXTENT.size * self.first[each] for each in (partition, partition + 1))
        return map(Extent._make, EXTENT.iter_unpack(memoryview(self.index)[begin:end]))

    def in_order(self) -> Iterator[Extent]:
        """All extents as they lie in the file, if those of each partition do."""
        return heapq.merge(*map(self._extents, range(self.partitions)))

    def size(self, partition: int) -> int:
        """The bytes of a partition."""
        return sum(extent.length for extent in self.extents(partition))


def check(fd: int, partitions: int) -> ShuffleFile:
    """The shuffle file that `fd` is, of so many partitions. Raises NotAShuffleFileError, OSError."""
    return parse(_reader(fd), os.fstat(fd).st_size, partitions)


def find(fd: int, partition: int) -> list[Extent]:
    """The extents of one partition of a file that was checked. Raises NotAShuffleFileError if it has no such one."""
    read = _reader(fd)
    footer = parse_footer(read, os.fstat(fd).st_size)
    if not 0 <= partition < footer.partitions:
        raise NotAShuffleFileError(f"it has {footer.partitions} partitions, and none with number {partition}")
    begin, end = struct.unpack("<2I", read(8, footer.index + 4 * partition))
    if not begin <= end <= footer.extents:
        raise NotAShuffleFileError("its index is damaged")
    found = read(EXTENT.size * (end - begin), footer.extents_at + EXTENT.size * begin)
    return [Extent(*fields) for fields in EXTENT.iter_unpack(found)]


def parse(read: Read, size: int, partitions: int) -> ShuffleFile:
    """What `check` does, of `size` bytes that `read` reads."""
    footer = parse_footer(read, size)
    if footer.partitions != partitions:
        raise NotAShuffleFileError(f"it has {footer.partitions} partitions, not {partitions}")
    index = read(footer.end - footer.index, footer.index)
    [found] = split.xxh3_64([index + read(HASHED, footer.end)])
    if found != footer.hash:
        raise NotAShuffleFileError("its index does not have the hash that it should have")
    checked = ShuffleFile(footer, struct.unpack_from(f"<{partitions + 1}I", index), index)
    _check_first(checked.first, footer)
    _check_extents(checked)
    return checked


def parse_footer(read: Read, size: int) -> Footer:
    """The footer of `size` bytes that `read` reads, whose places lie within them. Raises NotAShuffleFileError."""
    if size < FOOTER.size:
        raise NotAShuffleFileError("it is too short")
    magic, version, *fields = FOOTER.unpack(read(FOOTER.size, size - FOOTER.size))
    footer = Footer(*fields)
    if magic != MAGIC:
        raise NotAShuffleFileError("it does not end as one")
    if version != VERSION or footer.flags & ~ZERO_TERMINATED:
        raise NotAShuffleFileError(f"it is of another version ({version}, flags {footer.flags})")
    if not 1 <= footer.partitions <= MAX_PARTITIONS:
        raise NotAShuffleFileError(f"it has {footer.partitions} partitions, of at most {MAX_PARTITIONS}")
    if footer.extents > MAX_EXTENTS:
        raise NotAShuffleFileError(f"it has {footer.extents} extents, of at most {MAX_EXTENTS}")
    if footer.index % ALIGNED or footer.end != size - FOOTER.size:
        raise NotAShuffleFileError("its index is not where it should be")
    return footer


def _check_first(first: tuple[int, ...], footer: Footer) -> None:
    if first[0] != 0 or first[-1] != footer.extents or any(begin > end for begin, end in pairwise(first)):
        raise NotAShuffleFileError("its partitions do not divide its extents")


def _check_extents(file: ShuffleFile) -> None:
    """Each byte before the index is in one extent, and each line in some."""
    footer, at, lines = file.footer, 0, 0
    for extent in file.in_order():
        if extent.at != at or extent.length == 0:
            raise NotAShuffleFileError(f"its extents have a gap or an overlap at byte {min(at, extent.at)}")
        if extent.lines > extent.length:
            raise NotAShuffleFileError(f"its extent at byte {at} has more lines than bytes")
        at += extent.length
        lines += extent.lines
    if _aligned(at) != footer.index or lines != footer.lines:
        raise NotAShuffleFileError("its extents do not add up to what it says")


def _aligned(at: int) -> int:
    return -(-at // ALIGNED) * ALIGNED


def _reader(fd: int) -> Read:
    def read(length: int, offset: int) -> bytes:
        """Exactly `length` bytes."""
        found = os.pread(fd, length, offset)
        if len(found) != length:
            raise NotAShuffleFileError("it ends too early")
        return found

    return read
