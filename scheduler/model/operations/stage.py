"""A stage: a phase that we write, and the rule by which its tasks are made.

The tasks of a stage are made when the stages before it are over, and read one of six things (`Reads`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scheduler.model.phase import PhaseSpec

MIB = 1 << 20
MAX_TASKS = 100_000  # of one stage
MAX_PARTITIONS = 5000
SPREAD = 16  # partitions, and bytes of each: smaller ones would not be faster
SPREAD_SIZE = 64 * MIB
DEFAULT_SLICE = 256 * MIB
DEFAULT_PART = 1024 * MIB
MERGED_SLICE = 64 * MIB  # of a sort whose sorted slices are merged: of so many bytes at most
MERGED_MOST = 4096 * MIB
BORDERS = "/borders"  # the asset in which tasks find the borders that their operation's sample has printed


# The version of the rules by which the stages of an operation follow from its document. What is recorded says which one
# it was made by, so that operations of an earlier release keep their stages: before 2 no sort merged slices.
STAGE_RULES = 2


class OperationType(StrEnum):
    MAP = "map"
    MERGE = "merge"
    ERASE = "erase"
    SORT = "sort"
    REDUCE = "reduce"
    MAP_REDUCE = "map_reduce"


class Kind(StrEnum):
    """The kind of a stage, and of its attempts."""

    INDEX = "index"
    MAP = "map"
    ORDERED_MERGE = "ordered_merge"
    REWRITE = "rewrite"
    CHECK = "check"
    HEADER = "header"
    SAMPLE = "sample"
    PARTITION = "partition"
    SORT = "sort"
    SORTED_MERGE = "sorted_merge"
    SORTED_REDUCE = "sorted_reduce"
    PARTITION_MAP = "partition_map"
    PARTITION_REDUCE = "partition_reduce"
    CONCAT = "concat"


class Reads(StrEnum):
    """What the tasks of a stage read."""

    SLICES = "slices"  # of the inputs
    HEADS = "heads"  # the first line of each input, in one task
    BLOCKS = "blocks"  # of the inputs, for a sample
    PARTITIONS = "partitions"  # of the shuffle files of the stage before; slices if that was left out
    KEY_RANGES = "key_ranges"  # of the inputs, which are sorted: each task reads its range of every input
    OUTPUTS = "outputs"  # all outputs of the stage before, in order, in one task


@dataclass(frozen=True, slots=True)
class Cut:
    """How the inputs are cut into slices: into `tasks` of them, else by bytes; or each object is a slice."""

    tasks: int | None = None
    size: int = DEFAULT_SLICE
    per_object: bool = False


ONE = Cut(tasks=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. `cut` is for those that read slices."""

    kind: Kind
    phase: PhaseSpec
    cut: Cut = ONE
    reads: Reads = Reads.SLICES


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How many partitions there are: `count`, else as many as lines of so many bytes need of `size` each.

    `selectivity`: bytes of lines for each byte of input. `alone`: a single partition needs no shuffle file. `spreads`:
    there are more than bytes ask for, up to `SPREAD` of `SPREAD_SIZE` or more. So the tasks that read them keep all
    processors of a few nodes busy until the end, and reuse the memory that others have left; and short lines, which
    take much more memory than their bytes, need no temporary files. `merged`: up to so many bytes are not divided, but
    sorted in slices, which are merged.
    """

    size: int
    count: int | None = None
    selectivity: float = 1.0
    alone: bool = False
    spreads: bool = False
    merged: int = 0

    def partitions(self, total: int) -> int:
        """The number of partitions of an input of `total` bytes."""
        if total <= self.merged or (self.alone and not total):
            return 1
        lines = int(total * self.selectivity)
        wanted = self.count or -(-lines // self.size)
        if self.spreads and not self.count:
            wanted = max(wanted, min(SPREAD, lines // SPREAD_SIZE))
        return max(1, min(wanted, MAX_PARTITIONS))
