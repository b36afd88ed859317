"""Reports on attempts that have ended, and the requests of a running task that its agent passes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field, TypeAdapter

from scheduler.model.wire.fields import (
    CHECKED,
    MAX_COUNTED,
    MAX_OUTPUTS,
    MAX_REPORTS,
    MAX_SWEEP,
    BlobRef,
    Count,
    ErrorCode,
    Headers,
    Id,
    Measure,
    Number,
    ObjectName,
    OutputName,
    Text,
    Wire,
    Word,
)
from scheduler.model.wire.states import AgentState
from scheduler.model.wire.work import AttemptId


@dataclass(slots=True)
class OutputRecord:
    """One output of an attempt, in the order of emission.

    Captured stdout and unnamed `mpipe` outputs have names that the agent made. A reference (`mcat`) has a name only,
    and the next phase resolves it.
    """

    __pydantic_config__ = CHECKED

    name: OutputName
    blob: BlobRef | None = None  # None: by reference
    reducer: Count | None = None
    named: bool = False  # the script chose the name: the object is kept even when it is consumed
    headers: Headers = field(default_factory=dict)


class Outcome(StrEnum):
    """The outcome of an attempt."""

    OK = "ok"
    FAILED = "failed"  # the user's doing: retried only if the phase says so
    LOST = "lost"  # the system's doing: retried


@dataclass(slots=True)
class Usage:
    """The usage of an attempt, measured by the lackey."""

    __pydantic_config__ = CHECKED

    wall_us: Measure = 0
    user_us: Measure = 0
    sys_us: Measure = 0
    max_rss_kb: Measure = 0
    bytes_in: Measure = 0
    bytes_out: Measure = 0


_usage = TypeAdapter(Usage)


def usage_json(usage: Usage) -> str:
    """The usage of an attempt as the records have it: as in a report."""
    return _usage.dump_json(usage).decode()


@dataclass(slots=True)
class SavedFile:
    """stderr or a core of a failed attempt, saved under `name`."""

    __pydantic_config__ = CHECKED

    name: ObjectName
    blob: BlobRef


@dataclass(slots=True)
class AttemptReport:
    """The report on an attempt that has ended. `outputs` of a failed attempt are saved as objects and not forwarded."""

    __pydantic_config__ = CHECKED

    task: Number
    attempt: Number
    outcome: Outcome
    code: ErrorCode | None = None
    message: Text | None = None
    outputs: Annotated[list[OutputRecord], Field(max_length=MAX_OUTPUTS, fail_fast=True)] = field(default_factory=list)
    stderr: SavedFile | None = None
    core: SavedFile | None = None
    usage: Usage = field(default_factory=Usage)
    instance: Word | None = None  # the one that the attempt ran in, by its node's name for it
    started_us: Measure | None = None  # by the clock of `ReportRequest.clock_us`; None: nothing was run
    ended_us: Measure | None = None
    # lost, because these intermediates could not be read
    missing: Annotated[list[Id], Field(max_length=MAX_SWEEP)] = field(default_factory=list)
    # of each source, if they were counted
    lines: Annotated[list[Number], Field(max_length=MAX_COUNTED)] = field(default_factory=list)
    reason: Word | None = None  # why an attempt was lost, in a word of `operations.reasons`
    evicted: bool = False  # lost, because Nomad took the instance's place back: counts as no retry


_report = TypeAdapter(AttemptReport)


def check(report: AttemptReport) -> None:
    """Raises ValidationError if a report that we have made exceeds the bounds of a message."""
    _report.validate_python(report)


class ReportRequest(Wire):
    """Attempts that have ended, and those of operations whose commands have run for a moment by now (`began`)."""

    agent: Number
    state: AgentState
    attempts: list[AttemptReport] = Field(max_length=MAX_REPORTS, fail_fast=True)
    began: list[AttemptId] = Field(default_factory=list, max_length=MAX_REPORTS, fail_fast=True)
    clock_us: Measure = 0  # µs since the agent's start, when this was sent


class ReportReply(Wire):
    """The attempts that did not commit: no record refers to their blobs, which the agent removes."""

    discard: list[AttemptId] = Field(default_factory=list)


class OutputCheck(Wire):
    """A question whether a task may write `name`, and whether its directory exists (`parents`: create it).

    `headers` are those of the task's request that can forbid it: conditions, and headers that no directory can have.
    """

    job: Id
    name: Text
    parents: bool = False
    headers: Headers = Field(default_factory=dict)


class Adoption(Wire):
    """A plain object that a task wrote (`mtee`): its blob is in the store already, and this request names it."""

    job: Id
    name: Text
    blob: BlobRef
    headers: Headers = Field(default_factory=dict)
