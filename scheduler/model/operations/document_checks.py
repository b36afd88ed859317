"""Checks of an operation's document: the keys of each type, what their values may be, and which do not go together.

Example: `{"type": "sort", "spec": {"check": true}, "output": {"path": "/jill/stor/x"}}` is refused, for a check
prints what it finds: `property "output": is not for a check: what it finds is printed`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from scheduler.model import keydef, names, semver
from scheduler.model.checks import (
    SCRIPT,
    Check,
    array,
    boolean,
    integer,
    json_type,
    mapping,
    members,
    one_of,
    problem,
    required,
    string,
)
from scheduler.model.operations.document import UNAVAILABLE, Mode
from scheduler.model.operations.keyed import SORT_SWITCHES, keys_of_reduce
from scheduler.model.operations.stage import MAX_PARTITIONS, MAX_TASKS, STAGE_RULES, OperationType
from scheduler.model.operations.stages import LINES, line_range
from scheduler.model.tiers import MAX_TIMEOUT_S

MAX_FAILED_ATTEMPTS = 10_000
MAX_STDERRS = 150
MAX_STDERR_BYTES = 1 << 30
MAX_ANNOTATIONS = 10_240  # characters of JSON
MAX_ALIAS = 128
ALIAS = re.compile(rf"\*[A-Za-z0-9._-]{{1,{MAX_ALIAS}}}", re.ASCII)
MAX_DICTIONARIES = 100  # of a join
MAX_PIVOTS_BYTES = 32 * 1024  # of all pivots together: they are words of a command


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


def _dictionaries(path: str, value: Any) -> None:
    _inputs(path, value)
    if len(value) > MAX_DICTIONARIES:
        raise problem(path, f"there must be a maximum of {MAX_DICTIONARIES} in the array")


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


def _pivots(path: str, value: Any) -> None:
    array(path, value)
    if not 1 <= len(value) < MAX_PARTITIONS:
        raise problem(path, f"there must be 1 to {MAX_PARTITIONS - 1} in the array")
    for index, pivot in enumerate(value):
        string(f"{path}[{index}]", pivot)
        if "\n" in pivot or "\0" in pivot:
            raise problem(f"{path}[{index}]", "a pivot is one line")
    if sum(len(pivot.encode()) for pivot in value) > MAX_PIVOTS_BYTES:
        raise problem(path, f"must be at most {MAX_PIVOTS_BYTES >> 10} KiB")


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


def _script(*required_keys: str, only: Collection[str] = SCRIPT) -> Check:
    """The check of a script: a mapping with some of its keys."""

    def check(path: str, value: Any) -> None:
        members(path, value, {key: SCRIPT[key] for key in only})
        for key in required_keys:
            required(path, value, key)

    return check


def _number(least: float, most: float) -> Check:
    def check(path: str, value: Any) -> None:
        if type(value) not in (int, float):
            raise problem(path, f"{json_type(value)} value found, but a number is required")
        if not least <= value <= most:
            raise problem(path, f"must be from {least:g} to {most:g}")

    return check


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
PARTITIONED: Mapping[str, Check] = {
    "partition_count": integer(1, MAX_PARTITIONS),
    "partition_size": integer(1, 1 << 50),
    "task_size": integer(1, 1 << 50),
}
ORDERED: Mapping[str, Check] = {
    "sort_by": _sort_keys,
    "flags": _sort_flags,
    "separator": _separator,
    **dict.fromkeys(SORT_SWITCHES, boolean),
    **PARTITIONED,
    **{key: SCRIPT[key] for key in ("memory", "disk", "timeout")},
}
SPECS: Mapping[OperationType, Mapping[str, Check]] = {
    OperationType.MAP: {
        **SCRIPT,
        "ordered": boolean,
        "task_count": integer(1, MAX_TASKS),
        "task_size": integer(1, 1 << 50),
        "per_object": boolean,
    },
    OperationType.MERGE: {
        "mode": one_of(("auto", "ordered", "unordered", "sorted")),
        **ORDERED,
        "combine": boolean,
        "part_size": integer(1, 1 << 50),
    },
    OperationType.ERASE: {"lines": _lines},
    OperationType.SORT: {"check": boolean, "header": boolean, **ORDERED},
    OperationType.REDUCE: {
        **SCRIPT,
        "reduce_by": _sort_keys,
        "sort_by": _sort_keys,
        "flags": _sort_flags,
        "separator": _separator,
        "task_count": integer(1, MAX_PARTITIONS),
        "task_size": integer(1, 1 << 50),
        "pivot_keys": _pivots,
        "foreign": _dictionaries,
        "join_by": _sort_keys,
        "sorted_output": boolean,
    },
    OperationType.MAP_REDUCE: {
        "mapper": _script("exec"),
        "combiner": _script("exec", only=("exec",)),
        "reducer": _script("exec"),
        "reduce_by": _sort_keys,
        "sort_by": _sort_keys,
        "flags": _sort_flags,
        "separator": _separator,
        "selectivity": _number(0.001, 1000),
        "task_count": integer(1, MAX_TASKS),
        "per_object": boolean,
        "intermediate": one_of(("node", "shared")),
        "sorted_output": boolean,
        **PARTITIONED,
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
    for path, script in (("spec", spec), *((f"spec.{key}", spec.get(key, {})) for key in ("mapper", "reducer"))):
        if semver.newest(images, wanted := script.get("image", "*")) is None:
            raise problem(f"{path}.image", f'unsupported version: "{wanted}"')
    return {"name": "", **body, "stage_rules": STAGE_RULES}


def check_update(keys: Mapping[str, Any]) -> None:
    """Check what an update sets. Raises `WireError` with the first problem."""
    given = {key: value for key, value in keys.items() if value is not None or key not in UPDATABLE}
    members("", given, {key: COMMON[key] for key in UPDATABLE})


def _check_map(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("spec", spec, "exec")
    if spec.get("per_object") and (given := next((key for key in ("task_count", "task_size") if key in spec), None)):
        raise problem(f"spec.{given}", "is not for tasks of one object each")


def _check_merge(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("", body, "output")
    if spec.get("mode") == "sorted":
        if given := next((key for key in ("combine", "part_size") if key in spec), None):
            raise problem(f"spec.{given}", "is not for sorted inputs: their lines are written anew")
        _check_sort(body, spec)
    elif given := next((key for key in spec if key in ORDERED), None):
        raise problem(f"spec.{given}", 'is for mode "sorted"')
    if "part_size" in spec and not spec.get("combine"):
        raise problem("spec.part_size", "is for combine, which rewrites the parts")


def _check_erase(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    if "output" in body:
        raise problem("output", 'is not for type "erase"')
    if len(required("", body, "inputs")) > 1:
        raise problem("inputs[1]", "erase has one input")


def _check_sort(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    output = body.get("output", {})
    if spec.get("check"):
        if "output" in body:
            raise problem("output", "is not for a check: what it finds is printed")
        if given := next((key for key in ("header", *PARTITIONED) if key in spec), None):
            raise problem(f"spec.{given}", "is not for a check")
    if output.get("mode") == Mode.APPEND:
        raise problem("output.mode", "append is not for a sort: what is there already would not be sorted with it")


def _check_keys(spec: Mapping[str, Any]) -> None:
    reduce_by, sort_by = keys_of_reduce(spec)
    if not keydef.begins(reduce_by, sort_by):
        raise problem("spec.reduce_by", "must be the beginning of spec.sort_by")


def _check_reduce(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("spec", spec, "exec")
    _check_keys(spec)
    for one, other in (("join_by", "foreign"), ("foreign", "join_by")):
        if one in spec and not spec.get(other):
            raise problem(f"spec.{other}", f"is missing and it is required with spec.{one}")
    if not keydef.begins(spec.get("join_by", ()), keys_of_reduce(spec)[0]):
        raise problem("spec.join_by", "must be the beginning of spec.reduce_by")
    if "pivot_keys" in spec and (given := next((key for key in ("task_count", "task_size") if key in spec), None)):
        raise problem(f"spec.{given}", "is not for tasks between pivots")


def _check_map_reduce(body: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    required("spec", spec, "reducer")
    _check_keys(spec)
    if "mapper" not in spec and "intermediate" in spec:
        raise problem("spec.intermediate", "is for what a mapper prints")
    if spec.get("per_object") and (given := next((key for key in ("task_count", "task_size") if key in spec), None)):
        raise problem(f"spec.{given}", "is not for tasks of one object each")


RULES: Mapping[OperationType, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    OperationType.MAP: _check_map,
    OperationType.MERGE: _check_merge,
    OperationType.ERASE: _check_erase,
    OperationType.SORT: _check_sort,
    OperationType.REDUCE: _check_reduce,
    OperationType.MAP_REDUCE: _check_map_reduce,
}
