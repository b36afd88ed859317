"""The stages of operations that order lines by keys: sort, merge of sorted inputs, reduce, map_reduce.

    sort        [header] [sample] [partition] sort [merge] [concat]; or check
    merge       of sorted inputs: [sample] sorted_merge [concat]
    reduce      [sample] sorted_reduce [concat]
    map_reduce  [sample] partition_map partition_reduce [concat]

A sort of more than one task is a range partition: `sample` reads a little everywhere and prints the *borders*, lines
that divide all lines into partitions of about the same size. Each task of `partition` reads a slice and leaves one
shuffle file, in which its lines lie by partition; each task of `sort` reads its partition out of all these files. So
the sorted partitions, one after another, are the sorted whole. `map_reduce` is the same, but a hash of its keys gives
a line its partition: so all lines with a key meet in one task, sorted, and that is all that a reducer needs. Where its
output is to be sorted, too, borders divide the lines there as well.

A sort of up to 4 GiB into one object needs no shuffle either. One task has to write that object in any case, and to
merge sorted slices takes it not much longer than to put partitions together; so nothing is divided before.

Inputs that are sorted need no shuffle: the lines between two borders are one piece of each input. A task finds these
pieces by itself, merges them, and checks on the way that they are sorted. All pieces together are all of the inputs.

Inputs with a header lose their first lines to `header`, one task that checks that all of them are the same and prints
it once, before everything else.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.model import keydef
from scheduler.model.operations.stage import (
    BORDERS,
    DEFAULT_SLICE,
    MERGED_MOST,
    MERGED_SLICE,
    MIB,
    ONE,
    STAGE_RULES,
    Cut,
    Kind,
    OperationType,
    Partitioning,
    Reads,
    Stage,
)
from scheduler.model.phase import PhaseSpec
from scheduler.model.tiers import DEFAULT_MEMORY_MB

DEFAULT_PARTITION = 400 * MIB  # of a map_reduce
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
PARTITIONS = '"$REMORA_PARTITIONS"'  # how many there are is known once the inputs are
NUMBER = '"$MANTA_TASK_NUMBER"'


def may_merge(kind: OperationType, rules: int) -> bool:
    """Whether one task may merge the sorted outputs of others, by the rules of so many."""
    return kind is not OperationType.SORT or rules >= 2


def partitioning_of(
    kind: OperationType, spec: Mapping[str, Any], whole: bool, rules: int = STAGE_RULES
) -> Partitioning | None:
    """How the lines of an operation are divided among partitions, if they are. `whole`: its output is one object."""
    count, spreads = spec.get("partition_count"), "partition_size" not in spec
    if kind is OperationType.SORT:
        merges = may_merge(kind, rules) and _merges(spec, whole)
        size, merged = spec.get("partition_size", _fitting(spec)), MERGED_MOST if merges else 0
        return Partitioning(size, count, alone=True, spreads=spreads, merged=merged)
    if kind is OperationType.MERGE and spec.get("mode") == "sorted":  # to put many parts together takes as long again
        return Partitioning(spec.get("partition_size", DEFAULT_SLICE), count or (1 if whole else None), alone=True)
    if kind is OperationType.REDUCE:
        count = len(spec["pivot_keys"]) + 1 if "pivot_keys" in spec else spec.get("task_count")
        return Partitioning(spec.get("task_size", DEFAULT_SLICE), count, alone="pivot_keys" not in spec)
    if kind is OperationType.MAP_REDUCE:
        size, selectivity = spec.get("partition_size", DEFAULT_PARTITION), spec.get("selectivity", 1.0)
        return Partitioning(size, count, selectivity, spreads=spreads)
    return None


def _fitting(script: Mapping[str, Any]) -> int:
    """Bytes of lines that fit into the memory of a script's instance."""
    return _memory(script) * MIB * PARTITION_PERCENT // 100


def _merges(spec: Mapping[str, Any], whole: bool) -> bool:
    """Whether a sort of not too much merges sorted slices: it makes one object, and asks for no partitions."""
    return whole and not any(spec.get(key) for key in ("partition_count", "partition_size", "header"))


def sort_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    """The stages of a sort."""
    ordering = _ordering(spec, spec.get("sort_by", ()))
    zero, instance = bool(spec.get("zero")), _instance(spec)
    lines: dict[str, Any] = {"sliced": True, "ends_lines": True, "zero": zero, "bounds_lines": True}
    if spec.get("check"):
        check = f"msort -c{ordering} 2>&1 || [ $? -eq 1 ]"
        return (Stage(Kind.CHECK, PhaseSpec.of_script({**instance, "exec": check}, **lines)),)
    headed = bool(spec.get("header"))
    ends = {"end": "''", "mark": "\\0"} if zero else {"end": "$'\\n'", "mark": "\\n"}
    header = Stage(Kind.HEADER, PhaseSpec.of_script({**instance, "exec": HEADER % ends}, **lines), reads=Reads.HEADS)
    lines["headed"] = headed
    divide = f"mpartition --partitions {PARTITIONS} --borders /assets{BORDERS}{ordering} -S{PARTITION_BUFFERS}"
    sort = f"msort{ordering} {_buffer(spec, SORT_PERCENT)}"
    merge = f"mmerge --handed{ordering} -S{PARTITION_BUFFERS}"
    slices = Cut(size=spec.get("task_size", min(MERGED_SLICE, _fitting(spec)))) if _merges(spec, whole) else ONE
    return (
        *([header] if headed else []),
        _sample(instance, ordering, **lines),
        Stage(
            Kind.PARTITION,
            PhaseSpec.of_script(
                {"exec": divide, **instance, "memory": PARTITION_MEMORY_MB}, **lines, divides=True, bordered=True
            ),
            Cut(size=spec.get("task_size", DEFAULT_SLICE)),
        ),
        Stage(
            Kind.SORT,
            PhaseSpec.of_script({"exec": sort, **instance}, **lines, partitioned=True, piped=True),
            slices,
            reads=Reads.PARTITIONS,
        ),
        *([_merge_of_outputs({"exec": merge, **instance}, zero)] if _merges(spec, whole) else []),
    )


def _merge_of_outputs(script: Mapping[str, Any], zero: bool) -> Stage:
    """The stage that merges what a stage has left, unless that is in order already."""
    phase = PhaseSpec.of_script(script, sliced=True, zero=zero, merges=True, joins=True, piped=True)
    return Stage(Kind.SORTED_MERGE, phase, reads=Reads.OUTPUTS)


def _sample(
    script: Mapping[str, Any], ordering: str, mapper: str | None = None, zero: bool = False, **lines: Any
) -> Stage:
    """The stage that finds borders, in instances of a script. `mapper`: of the lines that it makes of the sample.

    A mapper that fails on so little of its input is not asked why: borders are right whatever they are.
    """
    sample = f"msort --sample {SAMPLE_LINES}{' -z' if zero else ''}"
    sample += f" | bash -c {shlex.quote(mapper)}" if mapper else ""
    sample += f" | msort --borders {PARTITIONS}{ordering} {_buffer(script, SORT_PERCENT)}"
    command = sample if mapper else f"set -o pipefail; {sample}"
    return Stage(Kind.SAMPLE, PhaseSpec.of_script({**script, "exec": command}, zero=zero, **lines), reads=Reads.BLOCKS)


def sorted_merge_stages(spec: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages of a merge of sorted inputs."""
    ordering, zero, instance = _ordering(spec, spec.get("sort_by", ())), bool(spec.get("zero")), _instance(spec)
    merge = f"mmerge --handed{ordering} {_range(f'/assets{BORDERS}')} -S{PARTITION_BUFFERS}"
    script = {"memory": PARTITION_MEMORY_MB, **instance, "exec": merge}
    return (
        _sample(instance, ordering, zero=zero, sliced=True, ends_lines=True),
        Stage(
            Kind.SORTED_MERGE,
            PhaseSpec.of_script(script, sliced=True, zero=zero, merges=True, bordered=True, piped=True),
            reads=Reads.KEY_RANGES,
        ),
    )


def reduce_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    """The stages of a reduce of sorted inputs. Pivots are borders that the user has chosen."""
    reduce_by, sort_by = keys_of_reduce(spec)
    group, borders, prepared = f"{_ordering(spec, reduce_by)} -s", f"/assets{BORDERS}", ""
    pivots = spec.get("pivot_keys")
    if pivots is not None:
        borders = "pivots"
        prepared = f"printf '%s\\n' {shlex.join(pivots)} > pivots && msort -c -u{group} pivots && "
    merge = f"mmerge --handed{_ordering(spec, sort_by)} -s {_range(borders)}"
    merge += f" --keys {len(reduce_by)}" if reduce_by else ""
    merge += f" --join {len(spec['join_by'])}" if "join_by" in spec else ""
    merge += f" --run {shlex.quote(spec['exec'])}"
    command = prepared + (_checked(merge, group, borders) if spec.get("sorted_output") else merge)
    script = PhaseSpec.of_script({**spec, "exec": command}, sliced=True, merges=True, bordered=pivots is None)
    return (
        *([_sample(_instance(spec), group, sliced=True, ends_lines=True)] if pivots is None else []),
        Stage(Kind.SORTED_REDUCE, script, reads=Reads.KEY_RANGES),
    )


def _range(borders: str) -> str:
    """The options of mmerge for the range of a task."""
    return f"--borders {borders} --partition {NUMBER}"


def _checked(command: str, ordering: str, borders: str) -> str:
    """A command whose output must be sorted, and within the range of its task: so the output of all tasks is sorted."""
    return f"set -o pipefail; {command} | mmerge{ordering} {_range(borders)}"


def _instance(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a specification says of its instances."""
    return {key: spec[key] for key in ("memory", "disk", "timeout") if key in spec}


def map_reduce_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    """The stages of a map_reduce."""
    reduce_by, sort_by = keys_of_reduce(spec)
    mapper, reducer = spec.get("mapper", {}), spec["reducer"]
    ordering = f"{_ordering(spec, sort_by)} -s"
    command = mapper.get("exec")
    if combiner := spec.get("combiner"):
        combine = f"msort{ordering} {_buffer(mapper, REDUCE_PERCENT)} --run {shlex.quote(combiner['exec'])}"
        command = f"set -o pipefail; bash -c {shlex.quote(command)} | {combine}" if command else combine
    is_sorted, group = bool(spec.get("sorted_output")), _ordering(spec, reduce_by)
    divide = f"mpartition --partitions {PARTITIONS}{group}{f' -s --borders /assets{BORDERS}' if is_sorted else ''}"
    divide += f" --run {shlex.quote(command)}" if command else ""
    reduce = f"msort{ordering} {_buffer(reducer, REDUCE_PERCENT)} --run {shlex.quote(reducer['exec'])}"
    if is_sorted:
        reduce = _checked(reduce, f"{group} -s", f"/assets{BORDERS}")
    own = spec.get("intermediate", "shared" if command else "node") == "node"
    lines: dict[str, Any] = {"sliced": True, "ends_lines": True, "bounds_lines": not command}
    return (
        *([_sample(mapper, f"{group} -s", mapper.get("exec"), **lines)] if is_sorted else []),
        Stage(
            Kind.PARTITION_MAP,
            PhaseSpec.of_script(
                {**mapper, "exec": divide}, **lines, divides=True, keeps_on_node=own, bordered=is_sorted
            ),
            Cut(spec.get("task_count"), spec.get("task_size", DEFAULT_SLICE), spec.get("per_object", False)),
        ),
        Stage(
            Kind.PARTITION_REDUCE,
            PhaseSpec.of_script({**reducer, "exec": reduce}, sliced=True, partitioned=True, bordered=is_sorted),
            reads=Reads.PARTITIONS,
        ),
    )


def keys_of_reduce(spec: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
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
