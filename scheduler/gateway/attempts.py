"""The attempts of an operation, as `GET …/:id/live/attempts` lists them: one JSON object a line.

    ?state=    waiting, running, aborting, completed, failed or aborted     ?reason=   of those that were aborted
    ?stage=N   ?task=N   ?node=NAME   ?stderr=true   those whose stderr is kept
    ?limit= ?marker=   a page; `X-Remora-Next` of a page is the marker of the next one

Example: `{"id": "1.17.2", "stage": 1, "task": 17, "attempt": 2, "state": "aborted", "reason": "node_offline", …}`. One
of them, and what it has read and printed, is in `attempt_files`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import web

from scheduler.common.display import compact
from scheduler.gateway.context import Call
from scheduler.gateway.job_lists import LATEST, NEXT, integer, lines_reply, page_limit
from scheduler.model import errors
from scheduler.model.operations.reasons import AbortReason
from scheduler.records.database import Row, select
from scheduler.supervisor.jobs.status import iso

ATTEMPTS_TYPE = "application/x-json-stream; type=attempt"
STATES = ("waiting", "running", "aborting", "completed", "failed", "aborted")
MARKER = re.compile(r"(\d{1,15})\.(\d{1,9})\Z", re.ASCII)


async def show_attempts(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/attempts`."""
    state, reason = one_of(call, "state", STATES), one_of(call, "reason", tuple(AbortReason))
    task, attempt = marker(call)
    limit = page_limit(call, LATEST)
    printed = one_of(call, "stderr", ("true",))
    only = {
        "state": state,
        "reason": reason,
        "node": call.query.get("node"),
        "stage": optional_integer(call, "stage"),
        "number": optional_integer(call, "task"),
        "printed": 1 if printed else None,
    }
    search = select("attempts_after", job=row["id"], task=task, attempt=attempt, limit=limit, **only)
    rows = await call.context.db.read(search)
    following = {NEXT: f"{rows[-1]['task']}.{rows[-1]['attempt']}"} if len(rows) == limit else {}
    return lines_reply([attempt_line(each) for each in rows], ATTEMPTS_TYPE, following)


def one_of(call: Call, name: str, values: tuple[str, ...]) -> str | None:
    """The value of a parameter, which is one of a few; None if it is missing. Raises WireError."""
    value = call.query.get(name)
    if value is not None and value not in values:
        raise errors.invalid_parameter(value, name)
    return value


def optional_integer(call: Call, name: str) -> int | None:
    """The value of a parameter that is a number; None if it is missing. Raises WireError."""
    return integer(call, name) if name in call.query else None


def marker(call: Call) -> tuple[int, int]:
    """The attempt after which a page begins."""
    text = call.query.get("marker", "0.0")
    found = MARKER.match(text)
    if found is None:
        raise errors.invalid_parameter(text, "marker")
    return int(found[1]), int(found[2])


def attempt_line(row: Row) -> str:
    """One attempt as a line."""
    return compact(described(row))


def described(row: Row) -> dict[str, Any]:
    """One attempt, as users see it."""
    shown = {
        "id": f"{row['stage']}.{row['number']}.{row['attempt']}",
        "taskId": row["uuid"],
        "task": row["number"],
        "attempt": row["attempt"],
        "stage": row["stage"],
        "state": row["state"],
        "reason": row["reason"],
        "interrupted": row["interrupted"],
        "code": row["code"],
        "message": row["message"],
        "node": row["node"],
        "timeLeased": iso(row["leased"]),
        "timeBegan": iso(row["began"]) if row["began"] is not None else None,
        "timeEnded": iso(row["ended"]) if row["ended"] is not None else None,
        "stderr": row["stderr"],
        "usage": json.loads(row["usage"]) if row["usage"] else None,
    }
    return {key: value for key, value in shown.items() if value is not None}
