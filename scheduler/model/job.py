"""A job's specification: the body of `POST /:login/jobs`, checked.

A document has a type. Without one it is a pipeline: phases of the user's own, as Manta has them. Any other type is an
operation, whose phases (stages) are ours (`model.operations`). `JobSpec.of` reads both.

The checks are our own rather than a schema library's because their *messages* are part of
the API: clients and scripts match on `property "phases[0].exec": is missing and it is
required`. Only the first problem is reported. The document that a user submitted is kept word for word
(`document`) and shown again in the job's status, with `type` filled in; the values that the
scheduler uses are in `phases`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from scheduler.model import semver
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
from scheduler.model.errors import invalid_content, invalid_job
from scheduler.model.naming import SESSION_EXEC
from scheduler.model.operations.document import Operation
from scheduler.model.operations.document_checks import check_operation
from scheduler.model.phase import PhaseSpec
from scheduler.model.tiers import IMAGES, MAX_JOB_REDUCERS, MAX_PHASES, MAX_REDUCERS, MAX_TRIES_AGAIN

# The nesting of arrays and objects. Python's own limit depends on how deep the stack is already, so a value that one
# process can read another could not write.
MAX_NESTING = 64
PHASE_TYPES = ("storage-map", "map", "reduce")
PIPELINE = "pipeline"  # the type of a document that names none


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A valid job. `document` is what the status shows: `name`, `transient`, `phases` as submitted.

    `operation` is None for a pipeline; the phases of an operation are its stages.
    """

    name: str
    phases: tuple[PhaseSpec, ...]
    transient: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)
    operation: Operation | None = None

    @property
    def is_session(self) -> bool:
        """Whether its one phase is the task's end of an interactive session."""
        return [phase.exec for phase in self.phases] == [SESSION_EXEC]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The specification in a recorded `document`.

        It was checked when it was submitted, and later rules do not apply to it.
        """
        if "type" in document:
            operation = Operation.of(document)
            phases = tuple(stage.phase for stage in operation.stages)
            return cls(document["name"], phases, document=document, operation=operation)
        phases = tuple(_phase_spec(phase) for phase in document["phases"])
        return cls(document["name"], phases, document["transient"], document)


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
    kind = body.get("type", PIPELINE)
    if kind != PIPELINE:
        return JobSpec.of(check_operation(body, images))
    return JobSpec.of(_check_pipeline({key: value for key, value in body.items() if key != "type"}, images))


def _check_pipeline(body: dict[str, Any], images: Collection[str]) -> dict[str, Any]:
    """Check a job of phases; returns the document to record."""
    phases = _check_phases(body)
    members("", body, {"phases": array, "name": string, "transient": boolean})
    for index, phase in enumerate(phases):
        if semver.newest(images, wanted := phase.get("image", "*")) is None:
            raise problem(f"phases[{index}].image", f'unsupported version: "{wanted}"')
    return {
        "name": body.get("name", ""),
        "transient": body.get("transient", False),
        "phases": [_as_shown(phase) for phase in phases],
    }


def _check_phases(body: dict[str, Any]) -> list[dict[str, Any]]:
    phases = required("", body, "phases")
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
    required(path, phase, "exec")
    members(path, phase, PHASE_CHECKS)


PHASE_CHECKS: Mapping[str, Check] = {
    **SCRIPT,
    "type": one_of(PHASE_TYPES),
    "count": integer(1, MAX_REDUCERS),
    "uarg": mapping,
    "retries": integer(0, MAX_TRIES_AGAIN),  # as "timeout": an addition
}


def _as_shown(phase: dict[str, Any]) -> dict[str, Any]:
    """The phase as submitted, with `type` present; `storage-map` is an old name of map."""
    return phase | {"type": "reduce" if phase.get("type") == "reduce" else "map"}


def _phase_spec(phase: Mapping[str, Any]) -> PhaseSpec:
    reducers = int(phase.get("count", 1)) if phase.get("type") == "reduce" else 0
    return PhaseSpec.of_script(phase, reducers=reducers, retries=phase.get("retries", 0))
