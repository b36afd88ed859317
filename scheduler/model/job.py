"""A job's specification: the body of `POST /:login/jobs`, checked.

The checks are our own rather than a schema library's because their *messages* are part of
the API: clients and scripts match on `property "phases[0].exec": is missing and it is
required`. Only the first problem is reported. The document that a user submitted is kept word for word
(`document`) and shown again in the job's status, with `type` filled in; the values that the
scheduler uses are in `phases`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.model import semver
from scheduler.model.errors import WireError, invalid_content, invalid_job
from scheduler.model.tiers import (
    DEFAULT_DISK_GB,
    DEFAULT_MEMORY_MB,
    DISK_GB,
    IMAGES,
    MAX_JOB_REDUCERS,
    MAX_PHASES,
    MAX_REDUCERS,
    MAX_TIMEOUT_S,
    MAX_TRIES_AGAIN,
    MEMORY_MB,
)

# The nesting of arrays and objects. Python's own limit depends on how deep the stack is already, so a value that one
# process can read another could not write.
MAX_NESTING = 64
PHASE_TYPES = ("storage-map", "map", "reduce")


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """One phase. `reducers` is 0 for a map phase."""

    exec: str
    reducers: int = 0
    init: str | None = None
    assets: tuple[str, ...] = ()
    memory_mb: int = DEFAULT_MEMORY_MB
    disk_gb: int = DEFAULT_DISK_GB
    image: str = "*"  # a range of versions
    timeout_s: int | None = None  # the longest time that a task may run
    retries: int = 0  # how often a failed task is retried

    @property
    def reduce(self) -> bool:
        return self.reducers > 0

    @property
    def fed(self) -> bool:
        """Whether its tasks read many inputs as one: a row for each input, poured into a pipe."""
        return self.reduce

    @property
    def blocking(self) -> bool:
        """Whether its tasks may wait for other tasks of the job."""
        return self.reduce


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A valid job. `document` is what the status shows: `name`, `transient`, `phases` as submitted."""

    name: str
    phases: tuple[PhaseSpec, ...]
    transient: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)


def decode_job(body: bytes) -> Any:
    """Decode a JSON body. Raises WireError InvalidContent; NaN and infinities are not JSON.

    Values that could not be sent back are refused too: numbers out of range, halves of surrogate pairs.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        value = json.loads(body.decode(), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise invalid_content("nested too deeply") from None
    except ValueError as error:
        raise invalid_content(str(error)) from None
    if is_deep(value):
        raise invalid_content("nested too deeply")
    return value


def is_deep(value: Any) -> bool:
    """Whether a JSON value has more than `MAX_NESTING` levels."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        inside: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inside += each.values()
            elif isinstance(each, list):
                inside += each
        if not inside:
            return False
        level = inside
    return True


def parse_job(body: Any, images: Collection[str] = IMAGES) -> JobSpec:
    """Check a decoded JSON body.

    Raises `WireError` InvalidJob with the first problem. `images` are all known versions.
    """
    if body is None:
        raise invalid_job("job must not be null")
    if not isinstance(body, dict):
        raise invalid_job(f"job: {json_type(body)} value found, but a object is required")
    phases = _check_phases(body)
    for key, check in (("name", string), ("transient", boolean)):
        if key in body:
            check(key, body[key])
    for key in body:
        if key not in ("phases", "name", "transient"):
            raise problem(key, "unsupported property")
    for index, phase in enumerate(phases):
        if semver.newest(images, wanted := phase.get("image", "*")) is None:
            raise problem(f"phases[{index}].image", f'unsupported version: "{wanted}"')
    document = {
        "name": body.get("name", ""),
        "transient": body.get("transient", False),
        "phases": [_as_shown(phase) for phase in phases],
    }
    return stored_job(document)


def stored_job(document: Mapping[str, Any]) -> JobSpec:
    """The specification in a recorded `document`.

    It was checked when it was submitted, and later rules do not apply to it.
    """
    specs = tuple(_phase_spec(phase) for phase in document["phases"])
    return JobSpec(document["name"], specs, document["transient"], document)


def problem(path: str, text: str) -> WireError:
    return invalid_job(f'property "{path}": {text}')


def json_type(value: Any) -> str:
    """The name of a JSON value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def wrong_type(path: str, value: Any, wanted: str) -> WireError:
    """The error for a value of another type.

    Manta's message calls null and arrays objects, as JavaScript does, except where an object is wanted.
    """
    found = json_type(value)
    if found in ("null", "array") and wanted != "object":
        found = "object"
    return problem(path, f"{found} value found, but a {wanted} is required")


def _typed(wanted: str) -> Callable[[str, Any], None]:
    def check(path: str, value: Any) -> None:
        if json_type(value) != wanted:
            raise wrong_type(path, value, wanted)

    return check


string = _typed("string")
boolean = _typed("boolean")
array = _typed("array")
mapping = _typed("object")


def _check_phases(body: dict[str, Any]) -> list[dict[str, Any]]:
    if "phases" not in body:
        raise problem("phases", "is missing and it is required")
    phases = body["phases"]
    array("phases", phases)
    if not phases:
        raise problem("phases", "there must be a minimum of 1 in the array")
    if len(phases) > MAX_PHASES:
        raise problem("phases", f"there must be a maximum of {MAX_PHASES} in the array: make several jobs of them")
    for index, phase in enumerate(phases):
        _check_phase(f"phases[{index}]", phase)
    _check_reducers(phases)
    return list(phases)


def _check_reducers(phases: list[dict[str, Any]]) -> None:
    """Refuse too many reducers: they are recorded in the transaction that creates the job, and other writers wait."""
    reducers = sum(int(phase.get("count", 1)) for phase in phases if phase.get("type") == "reduce")
    if reducers > MAX_JOB_REDUCERS:
        raise problem("phases", f"{reducers} reducers in all, a job has at most {MAX_JOB_REDUCERS}: make several jobs")


def _check_phase(path: str, phase: Any) -> None:
    if phase is None:
        raise problem(path, "must not be null")
    mapping(path, phase)
    if "exec" not in phase:
        raise problem(f"{path}.exec", "is missing and it is required")
    for key, value in phase.items():
        check = PHASE_CHECKS.get(key)
        if check is None:
            raise problem(f"{path}.{key}", "unsupported property")
        check(f"{path}.{key}", value)


def _exec(path: str, value: Any) -> None:
    script(path, value)
    if not value:
        raise problem(path, "must be at least 1 characters long")


def script(path: str, value: Any) -> None:
    """Check a script or the name of an asset: neither the argument of a process nor a file name can hold a NUL."""
    string(path, value)
    if "\0" in value:
        raise problem(path, "must not contain a NUL character")


def _strings(path: str, value: Any) -> None:
    array(path, value)
    for index, item in enumerate(value):
        script(f"{path}[{index}]", item)


def _integer(least: int, most: int) -> Callable[[str, Any], None]:
    def check(path: str, value: Any) -> None:
        """Raise WireError unless the value is an integer within the bounds."""
        if type(value) is not int:  # a boolean is an int, too
            raise wrong_type(path, value, "integer")
        if value > most:
            raise problem(path, f"must have a maximum value of {most}")
        if value < least:
            raise problem(path, f"must have a minimum value of {least}")

    return check


def _one_of(values: tuple[Any, ...]) -> Callable[[str, Any], None]:
    def check(path: str, value: Any) -> None:
        if type(value) is not type(values[0]) or value not in values:  # 1024.0 and True equal integers
            raise problem(path, f"does not have a value in the enumeration {', '.join(map(str, values))}")

    return check


def _image(path: str, value: Any) -> None:
    string(path, value)
    if not value.strip():
        raise problem(path, "must be at least 1 characters long")
    try:
        semver.parse_range(value)
    except ValueError:
        raise problem(path, f'invalid semver range: "{value}"') from None


PHASE_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "type": _one_of(PHASE_TYPES),
    "exec": _exec,
    "init": script,
    "assets": _strings,
    "count": _integer(1, MAX_REDUCERS),
    "memory": _one_of(MEMORY_MB),
    "disk": _one_of(DISK_GB),
    "image": _image,
    "uarg": mapping,
    # An addition of Remora's: other implementations of Manta do not have it.
    "timeout": _integer(1, MAX_TIMEOUT_S),
    "retries": _integer(0, MAX_TRIES_AGAIN),
}


def _as_shown(phase: dict[str, Any]) -> dict[str, Any]:
    """The phase as submitted, with `type` present; `storage-map` is an old name of map."""
    return phase | {"type": "reduce" if phase.get("type") == "reduce" else "map"}


def _phase_spec(phase: dict[str, Any]) -> PhaseSpec:
    return PhaseSpec(
        exec=phase["exec"],
        reducers=int(phase.get("count", 1)) if phase.get("type") == "reduce" else 0,
        init=phase.get("init") or None,
        assets=tuple(phase.get("assets", ())),
        memory_mb=int(phase.get("memory", DEFAULT_MEMORY_MB)),
        disk_gb=int(phase.get("disk", DEFAULT_DISK_GB)),
        image=phase.get("image", "*"),
        timeout_s=phase.get("timeout"),
        retries=phase.get("retries", 0),
    )
