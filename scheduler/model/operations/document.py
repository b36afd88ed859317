"""The document of an operation: what its keys mean, which are refused, and the stages that follow from them.

The common keys say what is read, what is written and what happens when tasks fail; `spec` has the keys of its type:

    map    a script, and how its input is cut: `task_count`, else `task_size`; or `per_object`
    merge  inputs one after another; `combine` rewrites them into parts of `part_size`. Without it the parts of a set
           are the inputs' own bytes, which are not read
    erase  one input: `lines` of it, or all of them
    sort   by the keys `sort_by`, each as `sort -k` has it, or by whole lines; `flags` are those of `sort` for all keys

Example: `{"type": "map", "inputs": ["/jill/stor/logs/"], "output": {"path": "/jill/stor/errors"}, "spec": {"exec":
"grep ERROR || true"}}` reads all objects of the directory in slices of 256 MiB, and makes one object of what is
printed: stage 0 is the user's command, stage 1 joins its parts.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from scheduler.model import keydef, names, semver
from scheduler.model.checks import (
    SCRIPT,
    Check,
    array,
    boolean,
    integer,
    mapping,
    members,
    one_of,
    problem,
    required,
    string,
)
from scheduler.model.phase import PhaseSpec
from scheduler.model.tiers import DEFAULT_MEMORY_MB, MAX_TIMEOUT_S

MIB = 1 << 20
MAX_TASKS = 100_000  # of one stage
MAX_STAGED = 2_000_000  # outputs of all tasks together, before they are published
MAX_FAILED_ATTEMPTS = 10_000
MAX_STDERRS = 150
MAX_STDERR_BYTES = 1 << 30
MAX_ANNOTATIONS = 10_240  # characters of JSON
MAX_ALIAS = 128
DEFAULT_SLICE = 256 * MIB
DEFAULT_PART = 1024 * MIB
INDEX_SIZE = MIB  # bytes of input whose lines are counted together
UNAVAILABLE = ("strategy", "tactics")  # what happens when inputs are not available: at the start, and later
SORT_SWITCHES: Mapping[str, str] = {"unique": "-u", "stable": "-s"}
SORT_PERCENT = 70  # of an instance's memory, which msort may use for lines
ALIAS = re.compile(rf"\*[A-Za-z0-9._-]{{1,{MAX_ALIAS}}}", re.ASCII)
LINES = re.compile(r"(?P<first>\d{1,15})-(?P<last>\d{1,15})|#(?P<start>\d{1,15}):#(?P<end>\d{1,15})", re.ASCII)


class OperationType(StrEnum):
    MAP = "map"
    MERGE = "merge"
    ERASE = "erase"
    SORT = "sort"


class Kind(StrEnum):
    """The kind of a stage, and of its attempts."""

    INDEX = "index"
    MAP = "map"
    ORDERED_MERGE = "ordered_merge"
    REWRITE = "rewrite"
    SIMPLE_SORT = "simple_sort"
    CONCAT = "concat"


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
class Cut:
    """How a stage's input is cut into tasks: into `tasks` of them, else by bytes; or each object is a task."""

    tasks: int | None = None
    size: int = DEFAULT_SLICE
    per_object: bool = False


ONE = Cut(tasks=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. `cut` is None for one that reads all outputs of the stage before, in order, in one task."""

    kind: Kind
    phase: PhaseSpec
    cut: Cut | None = None


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
    failures: Failures = Failures()
    stderr: Stderr = Stderr()
    time_limit_s: int | None = None
    alias: str | None = None
    unavailable: Unavailable = Unavailable()
    most_tasks: int | None = None  # attempts that run at once
    suspends_on_limit: bool = False  # an attempt that meets a limit of its account is aborted, and the operation waits

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The operation in a checked document."""
        kind, spec = OperationType(document["type"]), document.get("spec", {})
        inputs = document.get("inputs")
        output = _output_of(document, kind)
        stages = STAGES[kind](spec, output)
        if output.whole and stages and stages[-1].cut != ONE:
            stages = (*stages, Stage(Kind.CONCAT, PhaseSpec(exec="cat", reducers=1)))
        given, absent = document.get("stderr", {}), document.get("unavailable", {})
        return cls(
            kind,
            None if inputs is None else tuple(inputs),
            output,
            stages,
            links=kind is OperationType.MERGE and not stages,
            failures=Failures(
                document.get("max_failed_attempts", 10),
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


# Stages.

# Counts lines for a number of tasks that must be exact; it has no tasks if bytes are good enough.
INDEX = Stage(Kind.INDEX, PhaseSpec(exec="", sliced=True, counting=True), Cut(size=INDEX_SIZE))


def _map_stages(spec: Mapping[str, Any], output: Output) -> tuple[Stage, ...]:
    cut = Cut(spec.get("task_count"), spec.get("task_size", DEFAULT_SLICE), spec.get("per_object", False))
    stage = Stage(Kind.MAP, PhaseSpec.of_script(spec, sliced=True), cut)
    return (INDEX, stage) if (cut.tasks or 0) > 1 else (stage,)


def _merge_stages(spec: Mapping[str, Any], output: Output) -> tuple[Stage, ...]:
    if not (spec.get("combine", False) or output.whole):
        return ()
    cut = ONE if output.whole else Cut(size=spec.get("part_size", DEFAULT_PART))
    return (Stage(Kind.ORDERED_MERGE, PhaseSpec(exec="cat", sliced=True), cut),)


def _erase_stages(spec: Mapping[str, Any], output: Output) -> tuple[Stage, ...]:
    if "lines" not in spec:
        return ()
    first, last = line_range(spec["lines"])
    return (Stage(Kind.REWRITE, PhaseSpec(exec=f"LC_ALL=C sed {first},{last}d", sliced=True), ONE),)


def _sort_stages(spec: Mapping[str, Any], output: Output) -> tuple[Stage, ...]:
    return (
        Stage(
            Kind.SIMPLE_SORT,
            PhaseSpec.of_script({"exec": sort_command(spec), **spec}, sliced=True, ends_lines=True),
            ONE,
        ),
    )


def sort_command(spec: Mapping[str, Any]) -> str:
    """The command that sorts standard input, within the memory of its instance."""
    words = ["msort", *(f"-k{keydef.canonical(key)}" for key in spec.get("sort_by", ()))]
    if flags := spec.get("flags"):
        words.append(f"-{flags}")
    if separator := spec.get("separator"):
        words.append(f"-t{separator}")
    words += [letter for key, letter in SORT_SWITCHES.items() if spec.get(key)]
    memory = int(spec.get("memory", DEFAULT_MEMORY_MB)) * SORT_PERCENT // 100
    return shlex.join([*words, f"-S{memory}M"])


STAGES: Mapping[OperationType, Callable[[Mapping[str, Any], Output], tuple[Stage, ...]]] = {
    OperationType.MAP: _map_stages,
    OperationType.MERGE: _merge_stages,
    OperationType.ERASE: _erase_stages,
    OperationType.SORT: _sort_stages,
}


def line_range(text: str) -> tuple[int, int]:
    """The first and the last line, from 1, of `11-100`, or of `#10:#100`, which counts from 0 and leaves 100 out."""
    found = LINES.fullmatch(text)
    assert found is not None
    if found["first"]:
        return int(found["first"]), int(found["last"])
    return int(found["start"]) + 1, int(found["end"])


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


# Checks.


def _path(path: str, value: Any) -> None:
    string(path, value)
    bare = value.rstrip("/")
    if not names.is_normal(bare) or names.depth(bare) < (2 if value.endswith("/") else 3):
        raise problem(path, f'"{value}" is not the path of an object or a directory')


def _inputs(path: str, value: Any) -> None:
    array(path, value)
    if not value:
        raise problem(path, "there must be a minimum of 1 in the array")
    for index, item in enumerate(value):
        _path(f"{path}[{index}]", item)


def _output(path: str, value: Any) -> None:
    members(
        path,
        value,
        {"path": _path, "mode": one_of(tuple(mode.value for mode in Mode)), "as": one_of(("set", "object"))},
    )
    given = required(path, value, "path")
    if value.get("as") == "object" and given.endswith("/"):
        raise problem(f"{path}.as", f'"{given}" is a directory, for it ends in a slash')
    if value.get("mode") == Mode.APPEND and value.get("as", "set" if given.endswith("/") else "object") == "object":
        raise problem(f"{path}.mode", "append is for a set, a path that ends in a slash")


def _annotations(path: str, value: Any) -> None:
    mapping(path, value)
    if len(json.dumps(value)) > MAX_ANNOTATIONS:
        raise problem(path, f"must be at most {MAX_ANNOTATIONS} characters of JSON")


def _alias(path: str, value: Any) -> None:
    string(path, value)
    if not ALIAS.fullmatch(value):
        raise problem(path, f'"{value}" is no alias: * and at most {MAX_ALIAS} letters, digits and . _ -')


def _lines(path: str, value: Any) -> None:
    string(path, value)
    if not LINES.fullmatch(value):
        raise problem(path, f'"{value}" is no range of lines: 11-100, from 1, or #10:#100, from 0 and without the end')
    first, last = line_range(value)
    if first < 1:
        raise problem(path, f'"{value}" begins at line 0: the first line is 1')
    if last < first:
        raise problem(path, f'"{value}" is no range of lines: it ends before it begins')


def _sort_keys(path: str, value: Any) -> None:
    array(path, value)
    if len(value) > keydef.MAX_KEYS:
        raise problem(path, f"there must be a maximum of {keydef.MAX_KEYS} in the array")
    for index, key in enumerate(value):
        string(f"{path}[{index}]", key)
        with _keydef_problem(f"{path}[{index}]"):
            keydef.parse(key)


def _sort_flags(path: str, value: Any) -> None:
    string(path, value)
    with _keydef_problem(path):
        keydef.check_flags(value)


@contextmanager
def _keydef_problem(path: str) -> Iterator[None]:
    try:
        yield
    except keydef.KeydefError as error:
        raise problem(path, str(error)) from None


def _separator(path: str, value: Any) -> None:
    string(path, value)
    if len(value.encode()) != 1 or value == "\0":
        raise problem(path, "must be one byte")


COMMON: Mapping[str, Check] = {
    "type": string,
    "name": string,
    "inputs": _inputs,
    "output": _output,
    "title": string,
    "description": string,
    "annotations": _annotations,
    "alias": _alias,
    "max_failed_attempts": integer(1, MAX_FAILED_ATTEMPTS),
    "on_error": one_of(("fail", "continue")),
    "fail_on_restart": boolean,
    "time_limit": integer(1, MAX_TIMEOUT_S),
    "stderr": lambda path, value: members(
        path, value, {"count": integer(0, MAX_STDERRS), "bytes": integer(1, MAX_STDERR_BYTES)}
    ),
    "unavailable": lambda path, value: members(path, value, dict.fromkeys(UNAVAILABLE, one_of(("wait", "fail")))),
    "resource_limits": lambda path, value: members(path, value, {"tasks": integer(1, MAX_TASKS)}),
    "suspend_on_limit": boolean,
    "spec": mapping,
}
# Keys that may be changed while an operation runs; None removes one.
UPDATABLE = (
    *("title", "description", "annotations", "resource_limits", "suspend_on_limit", "unavailable"),
    *("max_failed_attempts", "on_error", "fail_on_restart", "time_limit"),
)
SPECS: Mapping[OperationType, Mapping[str, Check]] = {
    OperationType.MAP: {
        **SCRIPT,
        "ordered": boolean,
        "task_count": integer(1, MAX_TASKS),
        "task_size": integer(1, 1 << 50),
        "per_object": boolean,
    },
    OperationType.MERGE: {
        "mode": one_of(("auto", "ordered", "unordered")),
        "combine": boolean,
        "part_size": integer(1, 1 << 50),
    },
    OperationType.ERASE: {"lines": _lines},
    OperationType.SORT: {
        "sort_by": _sort_keys,
        "flags": _sort_flags,
        "separator": _separator,
        **dict.fromkeys(SORT_SWITCHES, boolean),
        **{key: SCRIPT[key] for key in ("memory", "disk", "timeout")},
    },
}


def check_operation(body: dict[str, Any], images: Collection[str]) -> dict[str, Any]:
    """Check an operation's document; returns the one to record. Raises `WireError` with the first problem."""
    kind = body["type"]
    if not isinstance(kind, str) or kind not in list(OperationType):
        raise problem("type", f"does not have a value in the enumeration pipeline, {', '.join(OperationType)}")
    if "phases" in body:
        raise problem("phases", f'is not for type "{kind}"')
    members("", body, COMMON)
    spec = body.get("spec", {})
    members("spec", spec, SPECS[OperationType(kind)])
    RULES[OperationType(kind)](body, spec)
    if semver.newest(images, wanted := spec.get("image", "*")) is None:
        raise problem("spec.image", f'unsupported version: "{wanted}"')
    return {"name": "", **body}


def check_update(keys: Mapping[str, Any]) -> None:
    """Check what an update sets. Raises `WireError` with the first problem."""
    given = {key: value for key, value in keys.items() if value is not None or key not in UPDATABLE}
    members("", given, {key: COMMON[key] for key in UPDATABLE})


def updated(document: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """A document after an update."""
    return {key: value for key, value in {**document, **keys}.items() if value is not None}


def _check_map(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("spec", spec, "exec")
    if spec.get("per_object") and (given := next((key for key in ("task_count", "task_size") if key in spec), None)):
        raise problem(f"spec.{given}", "is not for tasks of one object each")


def _check_merge(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("", body, "output")
    if "part_size" in spec and not spec.get("combine"):
        raise problem("spec.part_size", "is for combine, which rewrites the parts")


def _check_erase(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    if "output" in body:
        raise problem("output", 'is not for type "erase"')
    if len(required("", body, "inputs")) > 1:
        raise problem("inputs[1]", "erase has one input")


def _check_sort(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    output = body.get("output", {})
    if output.get("mode") == Mode.APPEND:
        raise problem("output.mode", "append is not for a sort: what is there already would not be sorted with it")


RULES: Mapping[OperationType, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    OperationType.MAP: _check_map,
    OperationType.MERGE: _check_merge,
    OperationType.ERASE: _check_erase,
    OperationType.SORT: _check_sort,
}
