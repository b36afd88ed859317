"""What the status of an operation shows beside that of a pipeline: where it stands, how far it is, how it ended."""

from __future__ import annotations

import json
from typing import Any

from scheduler.engine.operations.status import FINAL, REVIVING, Status, state_of
from scheduler.model.job import JobSpec
from scheduler.records.database import Connection, Row

COUNTS = ("total", "pending", "waiting", "running", "aborting", "completed", "failed", "aborted", "unscheduled", "lost")


def operation_status(c: Connection, row: Row, document: dict[str, Any]) -> dict[str, Any]:
    """The parts of the status document that only an operation has."""
    status = Status(row["status"])
    stages = [_stage(c, kind, phase) for kind, phase in zip(_kinds(document), _phases(c, row), strict=True)]
    given = {key: value for key, value in document.items() if key not in ("name", "stage_rules")}
    return {
        "state": state_of(status),
        "status": shown(status, row["supervisor"] is not None),
        **given,
        "suspended": bool(row["suspended"]),
        "progress": {name: sum(stage[name] for stage in stages) for name in COUNTS} | {"stages": stages},
        "pinned": {"objects": row["pins"], "bytes": row["pinned_bytes"]},
        "result": json.loads(row["result"]) if row["result"] else None,
    }


def shown(status: Status, owned: bool) -> str:
    """The status that users see: without a supervisor, an operation that has begun is being revived."""
    return str(status) if owned or status is Status.INITIALIZING or status in FINAL else REVIVING


def _kinds(document: dict[str, Any]) -> list[str]:
    operation = JobSpec.of(document).operation
    assert operation is not None
    return [str(stage.kind) for stage in operation.stages]


def _phases(c: Connection, row: Row) -> list[Row]:
    return c.all("phases_of_job", job=row["id"])


def _stage(c: Connection, kind: str, phase: Row) -> dict[str, Any]:
    open_attempts = {found["state"]: found["n"] for found in c.all("open_attempts", pool=phase["id"])}
    waiting, running, aborting = (open_attempts.get(state, 0) for state in ("waiting", "running", "aborting"))
    return {
        "stage": phase["number"],
        "kind": kind,
        "planned": bool(phase["planned"]),
        "total": phase["issued"],
        "pending": max(0, phase["issued"] - phase["finished"] - running - waiting),
        "waiting": waiting,
        "running": running,
        "aborting": aborting,
        "completed": min(phase["finished"], phase["metered"]),  # those that were cancelled were not measured
        "failed": phase["failed"],
        "aborted": phase["aborted"],
        "unscheduled": phase["unscheduled"],
        "lost": phase["lost"],
        "bytes": phase["bytes_in"],
    }
