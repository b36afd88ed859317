"""Stages: what an operation runs, in which order, and what the tasks of each read.

A stage is a phase that we write. Its tasks are made when the stages before it are over, and read one of five things
(`Reads`). The stages of each type, where those in brackets have no tasks if they are not needed:

    map         [index] map [concat]         the user's command on slices
    merge       nothing; or ordered_merge [concat]
    erase       rewrite
    sort        [header] [sample] [partition] sort [concat]; or check
    merge       of sorted inputs: check, and the stages of sort
    map_reduce  partition_map partition_reduce [concat]

A sort of more than one task is a range partition: `sample` reads a little everywhere and prints the *borders*, lines
that divide all lines into partitions of about the same size. Each task of `partition` reads a slice and leaves one
shuffle file, in which its lines lie by partition; each task of `sort` reads its partition out of all these files. So
the sorted partitions, one after another, are the sorted whole. `map_reduce` is the same, but a hash of its keys gives
a line its partition: so all lines with a key meet in one task, sorted, and that is all that a reducer needs.

Inputs with a header lose their first lines to `header`, one task that checks that all of them are the same and prints
it once, before everything else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scheduler.model import keydef
from scheduler.model.phase import PhaseSpec
from scheduler.model.tiers import DEFAULT_MEMORY_MB

MIB = 1 << 20
LINES = re.compile(r"(?P<first>\d{1,15})-(?P<last>\d{1,15})|#(?P<start>\d{1,15}):#(?P<end>\d{1,15})", re.ASCII)
MAX_TASKS = 100_000  # of one stage
MAX_PARTITIONS = 5000
DEFAULT_SLICE = 256 * MIB
DEFAULT_PART = 1024 * MIB
DEFAULT_PARTITION = 400 * MIB  # of a map_reduce
INDEX_SIZE = MIB  # bytes of input whose lines are counted together
SORT_SWITCHES: Mapping[str, str] = {"unique": "-u", "stable": "-s", "zero": "-z"}
SORT_PERCENT = 70  # of an instance's memory, which msort may use for lines,
REDUCE_PERCENT = 40  # and beside a reducer
# Bytes of lines in percent of an instance's memory that are sorted without temporary files: a line takes 16 bytes more
# than its text, and is about that long at least.
PARTITION_PERCENT = 40
SAMPLE_LINES = 8  # of each block of a sample
PARTITION_MEMORY_MB = 256
PARTITION_BUFFERS = "96M"
# Prints the first lines of all inputs, which must be the same, once. %s: how a line ends for `read` and `printf`.
HEADER = """n=1
read_line() { IFS= read -r -d %(end)s "$1" || [ -n "${!1}" ]; }
read_line first || exit 0
printf '%%s%(mark)s' "$first"
while read_line line; do
    n=$((n + 1))
    [ "$line" = "$first" ] && continue
    printf 'the first lines differ: "%%s", and of input %%d "%%s"\\n' "$first" $n "$line" >&2
    exit 1
done"""
BORDERS = "/borders"  # the asset in which a partition task finds them
PARTITIONS = '"$REMORA_PARTITIONS"'  # how many there are is known once the inputs are


class OperationType(StrEnum):
    MAP = "map"
    MERGE = "merge"
    ERASE = "erase"
    SORT = "sort"
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
    PARTITION_MAP = "partition_map"
    PARTITION_REDUCE = "partition_reduce"
    CONCAT = "concat"


class Reads(StrEnum):
    """What the tasks of a stage read."""

    SLICES = "slices"  # of the inputs
    HEADS = "heads"  # the first line of each input, in one task
    BLOCKS = "blocks"  # of the inputs, for a sample
    PARTITIONS = "partitions"  # of the shuffle files of the stage before; slices if that was left out
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

    `selectivity`: bytes of lines for each byte of input. `alone`: a single partition needs no shuffle file.
    """

    size: int
    count: int | None = None
    selectivity: float = 1.0
    alone: bool = False

    def partitions(self, total: int) -> int:
        """The number of partitions of an input of `total` bytes."""
        if self.alone and not total:
            return 1
        wanted = self.count or -(-int(total * self.selectivity) // self.size)
        return max(1, min(wanted, MAX_PARTITIONS))


CONCAT = Stage(Kind.CONCAT, PhaseSpec(exec="cat", sliced=True), reads=Reads.OUTPUTS)
# Counts lines for a number of tasks that must be exact; it has no tasks if bytes are good enough.
INDEX = Stage(Kind.INDEX, PhaseSpec(exec="", sliced=True, counting=True), Cut(size=INDEX_SIZE))


def stages_of(kind: OperationType, spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    """The stages of an operation. `whole`: its output is one object, of which one task makes what many have left."""
    stages = STAGES[kind](spec, whole)
    one = not stages or (stages[-1].cut == ONE and stages[-1].reads is Reads.SLICES)
    return (*stages, CONCAT) if whole and not one else stages


def partitioning_of(kind: OperationType, spec: Mapping[str, Any]) -> Partitioning | None:
    """How the lines of an operation are divided among partitions, if they are."""
    count = spec.get("partition_count")
    if kind is OperationType.SORT or (kind is OperationType.MERGE and spec.get("mode") == "sorted"):
        size = _memory(spec) * MIB * PARTITION_PERCENT // 100
        return Partitioning(spec.get("partition_size", size), count, alone=True)
    if kind is OperationType.MAP_REDUCE:
        return Partitioning(spec.get("partition_size", DEFAULT_PARTITION), count, spec.get("selectivity", 1.0))
    return None


def _map_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    cut = Cut(spec.get("task_count"), spec.get("task_size", DEFAULT_SLICE), spec.get("per_object", False))
    stage = Stage(Kind.MAP, PhaseSpec.of_script(spec, sliced=True), cut)
    return (INDEX, stage) if (cut.tasks or 0) > 1 else (stage,)


def _merge_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    if spec.get("mode") == "sorted":
        # The check reads the object as a file, so that it can name it. To merge takes as long as to sort (D26).
        check = PhaseSpec.of_script({**_instance(spec), "exec": f'{_check(spec)} "$MANTA_INPUT_FILE"'}, sliced=True)
        return (Stage(Kind.CHECK, check, Cut(per_object=True)), *_sort_stages(spec, whole))
    if not (spec.get("combine", False) or whole):
        return ()
    cut = ONE if whole else Cut(size=spec.get("part_size", DEFAULT_PART))
    return (Stage(Kind.ORDERED_MERGE, PhaseSpec(exec="cat", sliced=True), cut),)


def _erase_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    if "lines" not in spec:
        return ()
    first, last = line_range(spec["lines"])
    return (Stage(Kind.REWRITE, PhaseSpec(exec=f"LC_ALL=C sed {first},{last}d", sliced=True), ONE),)


def _sort_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    ordering = _ordering(spec, spec.get("sort_by", ()))
    zero, instance = bool(spec.get("zero")), _instance(spec)
    lines: dict[str, Any] = {"sliced": True, "ends_lines": True, "zero": zero}
    if spec.get("check"):
        check = f"{_check(spec)} 2>&1 || [ $? -eq 1 ]"
        return (Stage(Kind.CHECK, PhaseSpec.of_script({**instance, "exec": check}, **lines)),)
    headed = bool(spec.get("header"))
    ends = {"end": "''", "mark": "\\0"} if zero else {"end": "$'\\n'", "mark": "\\n"}
    header = Stage(Kind.HEADER, PhaseSpec.of_script({**instance, "exec": HEADER % ends}, **lines), reads=Reads.HEADS)
    lines["headed"] = headed
    sample = f"msort --sample {SAMPLE_LINES}{' -z' if zero else ''}"
    sample += f" | msort --borders {PARTITIONS}{ordering} {_buffer(spec, SORT_PERCENT)}"
    divide = f"mpartition --partitions {PARTITIONS} --borders /assets{BORDERS}{ordering} -S{PARTITION_BUFFERS}"
    sort = f"msort{ordering} {_buffer(spec, SORT_PERCENT)}"
    return (
        *([header] if headed else []),
        Stage(
            Kind.SAMPLE,
            PhaseSpec.of_script({"exec": f"set -o pipefail; {sample}", **instance}, **lines),
            reads=Reads.BLOCKS,
        ),
        Stage(
            Kind.PARTITION,
            PhaseSpec.of_script({"exec": divide, **instance, "memory": PARTITION_MEMORY_MB}, **lines, divides=True),
            Cut(size=spec.get("task_size", DEFAULT_SLICE)),
        ),
        Stage(
            Kind.SORT,
            PhaseSpec.of_script({"exec": sort, **instance}, **lines, partitioned=True),
            reads=Reads.PARTITIONS,
        ),
    )


def _instance(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a specification says of its instances."""
    return {key: spec[key] for key in ("memory", "disk", "timeout") if key in spec}


def _check(spec: Mapping[str, Any]) -> str:
    """The command that checks whether lines are sorted."""
    return f"msort -c{_ordering(spec, spec.get('sort_by', ()))}"


def _map_reduce_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    reduce_by, sort_by = keys_of_map_reduce(spec)
    mapper, reducer = spec.get("mapper", {}), spec["reducer"]
    ordering = f"{_ordering(spec, sort_by)} -s"
    command = mapper.get("exec")
    if combiner := spec.get("combiner"):
        combine = f"msort{ordering} {_buffer(mapper, REDUCE_PERCENT)} --run {shlex.quote(combiner['exec'])}"
        command = f"set -o pipefail; bash -c {shlex.quote(command)} | {combine}" if command else combine
    divide = f"mpartition --partitions {PARTITIONS}{_ordering(spec, reduce_by)}"
    divide += f" --run {shlex.quote(command)}" if command else ""
    reduce = f"msort{ordering} {_buffer(reducer, REDUCE_PERCENT)} --run {shlex.quote(reducer['exec'])}"
    own = spec.get("intermediate", "shared" if command else "node") == "node"
    return (
        Stage(
            Kind.PARTITION_MAP,
            PhaseSpec.of_script(
                {**mapper, "exec": divide}, sliced=True, ends_lines=True, divides=True, keeps_on_node=own
            ),
            Cut(spec.get("task_count"), spec.get("task_size", DEFAULT_SLICE), spec.get("per_object", False)),
        ),
        Stage(
            Kind.PARTITION_REDUCE,
            PhaseSpec.of_script({**reducer, "exec": reduce}, sliced=True, partitioned=True),
            reads=Reads.PARTITIONS,
        ),
    )


def line_range(text: str) -> tuple[int, int]:
    """The first and the last line, from 1, of `11-100`, or of `#10:#100`, which counts from 0 and leaves 100 out."""
    found = LINES.fullmatch(text)
    assert found is not None
    if found["first"]:
        return int(found["first"]), int(found["last"])
    return int(found["start"]) + 1, int(found["end"])


def keys_of_map_reduce(spec: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
    """The keys by which lines meet in a task, and those by which they are sorted there: each defaults to the other."""
    reduce_by, sort_by = spec.get("reduce_by"), spec.get("sort_by")
    return reduce_by or sort_by or (), sort_by or reduce_by or ()


def _ordering(spec: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The words of msort and mpartition that say how lines compare, each with a blank before it."""
    words = [f"-k{keydef.canonical(key)}" for key in keys]
    if flags := spec.get("flags"):
        words.append(f"-{flags}")
    if separator := spec.get("separator"):
        words.append(f"-t{separator}")
    words += [letter for key, letter in SORT_SWITCHES.items() if spec.get(key)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def _memory(script: Mapping[str, Any]) -> int:
    """The memory of a script's instance, in MB."""
    return int(script.get("memory", DEFAULT_MEMORY_MB))


def _buffer(script: Mapping[str, Any], percent: int) -> str:
    """The option with the memory that msort may use in a script's instance."""
    return f"-S{_memory(script) * percent // 100}M"


STAGES: Mapping[OperationType, Callable[[Mapping[str, Any], bool], tuple[Stage, ...]]] = {
    OperationType.MAP: _map_stages,
    OperationType.MERGE: _merge_stages,
    OperationType.ERASE: _erase_stages,
    OperationType.SORT: _sort_stages,
    OperationType.MAP_REDUCE: _map_reduce_stages,
}
