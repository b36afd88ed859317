"""Stages: what an operation runs, in which order.

The stages of each type, where those in brackets have no tasks if they are not needed:

    map         [index] map [concat]         the user's command on slices
    merge       nothing; or ordered_merge [concat]
    erase       rewrite
    the others  by keys (`keyed`)

Where the output is one object, `concat` makes it of what many tasks have left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.model.operations import keyed
from scheduler.model.operations.stage import (
    DEFAULT_PART,
    DEFAULT_SLICE,
    MIB,
    ONE,
    STAGE_RULES,
    Cut,
    Kind,
    OperationType,
    Reads,
    Stage,
)
from scheduler.model.phase import PhaseSpec

LINES = re.compile(r"(?P<first>\d{1,15})-(?P<last>\d{1,15})|#(?P<start>\d{1,15}):#(?P<end>\d{1,15})", re.ASCII)
INDEX_SIZE = MIB  # bytes of input whose lines are counted together


CONCAT = Stage(Kind.CONCAT, PhaseSpec(exec="cat", sliced=True, piped=True), reads=Reads.OUTPUTS)
# Counts lines for a number of tasks that must be exact; it has no tasks if bytes are good enough.
INDEX = Stage(Kind.INDEX, PhaseSpec(exec="", sliced=True, counting=True), Cut(size=INDEX_SIZE))


def stages_of(kind: OperationType, spec: Mapping[str, Any], whole: bool, rules: int = STAGE_RULES) -> tuple[Stage, ...]:
    """The stages of an operation. `whole`: its output is one object, of which one task makes what many have left."""
    stages = STAGES[kind](spec, whole and keyed.may_merge(kind, rules))
    one = not stages or (stages[-1].cut == ONE and stages[-1].reads is Reads.SLICES)
    return (*stages, CONCAT) if whole and not one else stages


def _map_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    cut = Cut(spec.get("task_count"), spec.get("task_size", DEFAULT_SLICE), spec.get("per_object", False))
    stage = Stage(Kind.MAP, PhaseSpec.of_script(spec, sliced=True), cut)
    return (INDEX, stage) if (cut.tasks or 0) > 1 else (stage,)


def _merge_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    if spec.get("mode") == "sorted":
        return keyed.sorted_merge_stages(spec)
    if not (spec.get("combine", False) or whole):
        return ()
    cut = ONE if whole else Cut(size=spec.get("part_size", DEFAULT_PART))
    return (Stage(Kind.ORDERED_MERGE, PhaseSpec(exec="cat", sliced=True, piped=True), cut),)


def _erase_stages(spec: Mapping[str, Any], whole: bool) -> tuple[Stage, ...]:
    if "lines" not in spec:
        return ()
    first, last = line_range(spec["lines"])
    return (Stage(Kind.REWRITE, PhaseSpec(exec=f"LC_ALL=C sed {first},{last}d", sliced=True, piped=True), ONE),)


def line_range(text: str) -> tuple[int, int]:
    """The first and the last line, from 1, of `11-100`, or of `#10:#100`, which counts from 0 and leaves 100 out."""
    found = LINES.fullmatch(text)
    assert found is not None
    if found["first"]:
        return int(found["first"]), int(found["last"])
    return int(found["start"]) + 1, int(found["end"])


STAGES: Mapping[OperationType, Callable[[Mapping[str, Any], bool], tuple[Stage, ...]]] = {
    OperationType.MAP: _map_stages,
    OperationType.MERGE: _merge_stages,
    OperationType.ERASE: _erase_stages,
    OperationType.SORT: keyed.sort_stages,
    OperationType.REDUCE: keyed.reduce_stages,
    OperationType.MAP_REDUCE: keyed.map_reduce_stages,
}
