"""The document of an operation: what its keys mean, and the stages that follow from them.

The common keys say what is read, what is written and what happens when tasks fail; `spec` has the keys of its type:

    map    a script, and how its input is cut: `task_count`, else `task_size`; or `per_object`
    merge  inputs one after another; `combine` rewrites them into parts of `part_size`. Without it the parts of a set
           are the inputs' own bytes, which are not read
    erase  one input: `lines` of it, or all of them
    sort   by the keys `sort_by`, each as `sort -k` has it, or by whole lines; `flags` are those of `sort` for all keys
    map_reduce
           lines that the `mapper` prints, or those of the inputs, meet by the keys `reduce_by` in one task each, where
           they are sorted by `sort_by` and read by the `reducer`
    reduce the same of inputs that are sorted, which a script reads; `foreign` inputs are joined to them by `join_by`

Example: `{"type": "map", "inputs": ["/jill/stor/logs/"], "output": {"path": "/jill/stor/errors"}, "spec": {"exec":
"grep ERROR || true"}}` reads all objects of the directory in slices of 256 MiB, and makes one object of what is
printed: stage 0 is the user's command, stage 1 joins its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from scheduler.model.operations.keyed import partitioning_of
from scheduler.model.operations.stage import MIB, Kind, OperationType, Partitioning, Reads, Stage
from scheduler.model.operations.stages import stages_of

MAX_STAGED = 2_000_000  # outputs of all tasks together, before they are published
UNAVAILABLE = ("strategy", "tactics")  # what happens when inputs are not available: at the start, and later

# Stages of which a task can be given up, and that can be ended early: what each task reads stands for itself.
SEPARABLE = frozenset({Kind.MAP, Kind.ORDERED_MERGE})
# Types that can be completed early: their output is worth something without the rest.
COMPLETABLE = frozenset({OperationType.MAP})


class Mode(StrEnum):
    """What happens to what is at an output's path already."""

    CREATE = "create"  # there must be nothing: no object, or no entry in the directory
    REPLACE = "replace"
    APPEND = "append"  # to a set: its next parts


@dataclass(frozen=True, slots=True)
class Output:
    """An output. `path` is None for a set in the job's own directory; `whole`: one object, else a set.

    An object is replaced unless the document says otherwise, as every PUT does; a set must be new.
    """

    path: str | None = None
    mode: Mode = Mode.CREATE
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed attempts mean for the operation: it fails at the `most`-th, if they are not to be ignored.

    `goes_on`: a task that fails has failed, and the others go on. `once`: any end but success fails the operation.
    """

    most: int = 10
    goes_on: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Stderr:
    """How many attempts' stderr is kept, and how many bytes of each."""

    count: int = 20
    bytes: int = 5 * MIB


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Whether the operation waits for inputs that are not available: when it begins, and while it runs."""

    waits_at_start: bool = True
    waits_later: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid operation. `inputs` of None are added to the job one by one, until its input is ended.

    `links`: the output is made of the inputs' own bytes, without reading them.
    """

    type: OperationType
    inputs: tuple[str, ...] | None
    output: Output
    stages: tuple[Stage, ...]
    links: bool = False
    partitioning: Partitioning | None = None
    dictionaries: tuple[str, ...] = ()  # of a join: its foreign inputs
    failures: Failures = Failures()
    stderr: Stderr = Stderr()
    time_limit_s: int | None = None
    alias: str | None = None
    unavailable: Unavailable = Unavailable()
    most_tasks: int | None = None  # attempts that run at once
    suspends_on_limit: bool = False  # an attempt that meets a limit of its account is aborted, and the operation waits

    def reads(self, stage: Stage, partitions: int) -> Reads | None:
        """What the tasks of a stage read if there are so many partitions; None if it is left out for them.

        A shuffle of one partition may be left out (`Partitioning.alone`). Its lines are then read from the inputs.
        What went through a shuffle is in order, and needs no merge.
        """
        shuffles = self.partitioning is not None and (partitions > 1 or not self.partitioning.alone)
        if stage.reads is Reads.BLOCKS or stage.phase.divides:
            return stage.reads if shuffles else None
        if stage.reads is Reads.PARTITIONS and not shuffles:
            return Reads.SLICES
        return None if stage.reads is Reads.OUTPUTS and stage.phase.merges and shuffles else stage.reads

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The operation in a checked document."""
        kind, spec = OperationType(document["type"]), document.get("spec", {})
        inputs = document.get("inputs")
        output = _output_of(document, kind)
        rules = document.get("stage_rules", 1)
        stages = stages_of(kind, spec, output.whole, rules)
        given, absent = document.get("stderr", {}), document.get("unavailable", {})
        return cls(
            kind,
            None if inputs is None else tuple(inputs),
            output,
            stages,
            links=kind is OperationType.MERGE and not stages,
            partitioning=partitioning_of(kind, spec, output.whole, rules),
            dictionaries=tuple(spec.get("foreign", ())),
            failures=Failures(
                document.get("max_failed_attempts", 1 if _fails_for_good(kind, spec) else 10),
                document.get("on_error") == "continue",
                document.get("fail_on_restart", False),
            ),
            stderr=Stderr(given.get("count", 20), given.get("bytes", 5 * MIB)),
            time_limit_s=document.get("time_limit"),
            alias=document.get("alias"),
            unavailable=Unavailable(*(absent.get(when, "wait") == "wait" for when in UNAVAILABLE)),
            most_tasks=document.get("resource_limits", {}).get("tasks"),
            suspends_on_limit=document.get("suspend_on_limit", False),
        )


def _fails_for_good(kind: OperationType, spec: Mapping[str, Any]) -> bool:
    """Whether a task that fails has found something in the inputs, which is there the next time, too."""
    must_be_sorted = kind is OperationType.REDUCE or (kind is OperationType.MERGE and spec.get("mode") == "sorted")
    return bool(spec.get("header")) or must_be_sorted


def _output_of(document: Mapping[str, Any], kind: OperationType) -> Output:
    if kind is OperationType.ERASE:
        path = str(document["inputs"][0])
        return Output(path.rstrip("/"), Mode.REPLACE, whole=not path.endswith("/"))
    given = document.get("output")
    if given is None:
        return Output()
    path = str(given["path"])
    whole = given.get("as", "set" if path.endswith("/") else "object") == "object"
    return Output(path.rstrip("/"), Mode(given.get("mode", Mode.REPLACE if whole else Mode.CREATE)), whole)


def updated(document: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """A document after an update."""
    return {key: value for key, value in {**document, **keys}.items() if value is not None}
