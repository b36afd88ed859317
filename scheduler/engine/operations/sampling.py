"""Sampling: where the inputs of a sort are read to find out which lines there are.

The inputs are concatenated, in their order, and a *block* of 16 KiB is read at the beginning of each of so many equal
stretches: all of them together are a little of everything, whatever the order of the lines. A block that begins near
an object's end is shorter. As for slices, the agent makes lines of it: those that begin in the block.

More blocks make partitions of more even sizes. With 32 blocks of eight lines for each, the largest partition is about
1.2 times the mean. So that one task reads them all in seconds, there are at most 16,384, which are 256 MiB.

Example: objects of 10 and 20 MB, 3 blocks: they begin at byte 0 of the first, and at 0 and 10,000,000 of the second.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.engine.operations.slicing import Pin

BLOCK = 16 * 1024
BLOCKS_PER_PARTITION = 32
FEWEST, MOST = 256, 16_384
EVERY = 4 << 20  # bytes: one block is read of so many at least


@dataclass(frozen=True, slots=True)
class Block:
    """A part of one input that is read for the sample."""

    pin: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class SampleCursor:
    """How far the sample is: the input that is next, the bytes before it, and the block that is next."""

    seq: int = 0
    before: int = 0
    block: int = 0


def blocks_of(total: int, partitions: int) -> int:
    """How many blocks the sample of `total` bytes has."""
    wanted = max(FEWEST, partitions * BLOCKS_PER_PARTITION, total // EVERY)
    return max(1, min(wanted, MOST, -(-total // BLOCK)))


def sample(total: int, blocks: int, cursor: SampleCursor, pin: Pin, most: int) -> tuple[list[Block], SampleCursor]:
    """The blocks in the input that is next, at most so many, and the cursor after them."""
    found: list[Block] = []
    block, end = cursor.block, cursor.before + pin.size
    while block < blocks and (at := block * total // blocks) < end and len(found) < most:
        start = at - cursor.before
        found.append(Block(pin.seq, start, min(BLOCK, pin.size - start)))
        block += 1
    if block < blocks and block * total // blocks < end:
        return found, SampleCursor(cursor.seq, cursor.before, block)
    return found, SampleCursor(pin.seq + 1, end, block)
