"""Status of a job, as `live/status` and `job.json` show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scheduler.records.database import Connection, Row
from scheduler.supervisor.jobs.operation_status import operation_status

# Times that appear once they are reached, with their columns.
LATER_TIMES = (("timeDone", "done"), ("timeArchiveStarted", "archive_started"), ("timeArchiveDone", "archive_done"))

NO_TIMES: Mapping[str, int] = {}


def iso(ms: int) -> str:
    """A time (ms since the epoch) as `2013-06-16T01:44:46.689Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status(c: Connection, row: Row, times: Mapping[str, int] = NO_TIMES) -> dict[str, Any]:
    """The status document of a row of `jobs`, keys in the published order. `times`: columns that will change."""
    document = json.loads(row["document"])
    waiting = [] if row["state"] == "done" else c.all("waiting_phases", job=row["id"])
    totals = c.one("job_totals", job=row["id"])
    assert totals is not None
    return {
        "id": row["uuid"],
        "name": row["name"],
        "state": row["state"],
        "cancelled": bool(row["cancelled"]),
        "inputDone": bool(row["input_done"]),
        "transient": document.get("transient", False),
        "stats": {
            "errors": row["errors"],
            "outputs": row["outputs"],
            "retries": row["retries"],
            "tasks": totals["tasks"],
            "tasksDone": totals["tasks_done"],
        },
        "timeCreated": iso(row["created"]),
        **{name: iso(at) for name, column in LATER_TIMES if (at := times.get(column, row[column])) is not None},
        "phases": document.get("phases", []),
        "options": {},
        **({"suspended": True} if row["suspended"] and not row["status"] else {}),
        # An addition to the published form, while phases wait for an instance: which ones, and why.
        **(operation_status(c, row, document) if row["status"] else {}),
        **({"waiting": [{"phase": one["number"], "reason": one["waiting"]} for one in waiting]} if waiting else {}),
    }
