"""Lists about jobs: the jobs themselves, and one job's inputs, outputs, failures, errors, tasks.

    GET  /:login/jobs?state= name= status= type= alias= since= before= failed=true
                                                 jobs whose record still exists
    GET  …/:id/live/in|out|fail|err              one a line
    GET  …/:id/live/tasks?state= stage= task=    one JSON object a line

A list may be longer than a client's memory, so clients can read it in pages: with `limit`, and from
the second page on with the `marker` that `X-Remora-Next` of the previous page gave. Without either, the
four old lists show the latest 100 entries, as Manta's do, and the list of jobs its first 1000.

Markers are not secret and give no access: for any number, a page holds only entries of its job, and a list of jobs
continues only after a job of the same account.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

from aiohttp import web

from scheduler.common.display import compact
from scheduler.engine.operations.status import Status
from scheduler.engine.task import TaskState
from scheduler.gateway.context import Call
from scheduler.model import errors, names
from scheduler.model.job import PIPELINE
from scheduler.model.operations.stage import OperationType
from scheduler.records.database import Connection, Row, select
from scheduler.supervisor.jobs.error_records import live_line
from scheduler.supervisor.jobs.status import iso

# The number of entries that a live list shows to clients that do not page.
LATEST = 100
MAX_PAGE = 1000
NEXT = "X-Remora-Next"
JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

# A page of a job's list: from the job's number, the marker, and the longest page.
Find = Callable[[Connection, int, int, int], list[Row]]
JOB_STATES = ("live", "running", "done")
JOB_VALUES: dict[str, tuple[str, ...]] = {
    "state": JOB_STATES,
    "status": (*JOB_STATES, *Status),
    "type": (PIPELINE, *OperationType),
    "failed": ("true",),
}
ERRORS_TYPE = "application/x-json-stream; type=job-error"
JOBS_TYPE = "application/x-json-stream; type=job"
TASKS_TYPE = "application/x-json-stream; type=task"


def name_line(row: Row) -> str:
    return names.as_line(row["name"])


def error_line(row: Row) -> str:
    return live_line(row["name"])


# For each list: its statement, its content type, and the function that makes a line of a row.
LISTS: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "in": ("list_inputs", "text/plain", name_line),
    "out": ("list_outputs", "text/plain", name_line),
    "fail": ("list_failures", "text/plain", name_line),
    "err": ("list_errors", ERRORS_TYPE, error_line),
}


async def list_jobs(call: Call) -> web.StreamResponse:
    """`GET /:login/jobs?state=…`: jobs whose record still exists, oldest first; `since` and `before` are ms."""
    if call.method not in ("GET", "HEAD"):
        raise errors.method_not_allowed(call.method)
    limit = page_limit(call, MAX_PAGE)
    only = job_filters(call)
    rows = await call.context.db.read(lambda c: _jobs_after(call, c, limit=limit, **only))
    following = {NEXT: rows[-1]["uuid"]} if "limit" in call.query and len(rows) == limit else {}
    return lines_reply([job_line(row) for row in rows], JOBS_TYPE if rows else None, following)


def job_filters(call: Call) -> dict[str, object]:
    """What a search for jobs is narrowed by. Raises WireError.

    `status` is that of an operation; its older values, which are states, narrow nothing.
    """
    for parameter, values in JOB_VALUES.items():
        value = call.query.get(parameter)
        if value is not None and value not in values:
            raise errors.invalid_parameter(value, parameter)
    for parameter in ("name", "alias"):
        text = call.query.get(parameter)
        if text is not None and not is_name(text):
            raise errors.invalid_parameter(text, parameter)
    status = call.query.get("status")
    return {
        "state": call.query.get("state", "live"),
        "status": None if status in JOB_STATES else status,
        "type": call.query.get("type"),
        "name": call.query.get("name"),
        "alias": call.query.get("alias"),
        "since": integer(call, "since") if "since" in call.query else None,
        "before": integer(call, "before") if "before" in call.query else None,
        "failed": 1 if "failed" in call.query else None,
    }


def is_name(text: str) -> bool:
    """Whether a job may have this name: the rule at its creation, and no character that a database cannot hold."""
    return bool(text) and "\0" not in text


def _jobs_after(call: Call, c: Connection, **search: object) -> list[Row]:
    owner = names.owner(call.path)
    marker = call.query.get("marker", "")
    after = 0
    if JOB_ID.match(marker):  # other markers are ignored, as in Manta
        last = c.one("job_by_uuid", uuid=marker)
        if last is None or last["owner"] != owner:
            raise errors.invalid_parameter(marker, "marker")
        after = last["id"]
    return c.all("jobs_of_owner", owner=owner, after=after, **search)


def job_line(row: Row) -> str:
    return compact({"name": row["uuid"], "type": "directory", "mtime": iso(row["created"])})


async def show_list(what: str, call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/in|out|fail|err`."""
    statement, content_type, line = LISTS[what]
    if "limit" in call.query or "marker" in call.query:
        return await show_page(call, row, found_by(statement), content_type, line)

    def read(c: Connection) -> list[str]:
        rows = c.all(statement, job=row["id"], after=_before_latest(c, what, row), limit=LATEST)
        return [line(found) for found in rows]

    return lines_reply(await call.context.db.read(read), content_type)


def found_by(statement: str) -> Find:
    return lambda c, job, after, limit: c.all(statement, job=job, after=after, limit=limit)


async def show_page(
    call: Call,
    row: Row,
    find: Find,
    content_type: str,
    line: Callable[[Row], str],
    key: str = "seq",
) -> web.StreamResponse:
    """A page of a job's list after the marker, which is a value of the column `key`."""
    after, limit = page_marker(call), page_limit(call, LATEST)

    def read(c: Connection) -> tuple[list[str], dict[str, str]]:  # lines are made here: a page would hold up the loop
        """lines are made in the reader's thread: a page would hold up the event loop"""
        rows = find(c, row["id"], after, limit)
        return [line(found) for found in rows], {NEXT: str(rows[-1][key])} if len(rows) == limit else {}

    lines, following = await call.context.db.read(read)
    return lines_reply(lines, content_type, following)


async def show_tasks(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/tasks[?state=&stage=&task=]`: a page of tasks; with `?number=` one, by the number of its record."""
    state = call.query.get("state")
    if "number" in call.query:
        one = select("task_of_job", job=row["id"], task=integer(call, "number"))
        return lines_reply([task_line(task) for task in await call.context.db.read(one)], TASKS_TYPE)
    if state is not None and state not in RECORDED:
        raise errors.invalid_parameter(state, "state")
    stage, number = (integer(call, asked) if asked in call.query else None for asked in ("stage", "task"))
    if state == "running" and stage is None and number is None:
        return await show_page(call, row, found_by("leased_tasks_after"), TASKS_TYPE, task_line, key="id")
    recorded = RECORDED[state] if state else None
    find = partial(tasks_after, state=recorded, stage=stage, number=number)
    return await show_page(call, row, find, TASKS_TYPE, task_line, key="id")


def tasks_after(
    c: Connection,
    job: int,
    after: int,
    limit: int,
    *,
    state: str | None = None,
    stage: int | None = None,
    number: int | None = None,
) -> list[Row]:
    """Tasks of a job by phase and age, after one of them; from the first with an `after` of 0.

    A phase at a time: PostgreSQL would sort all tasks of the job for each page.
    """
    found: list[Row] = []
    for phase in c.all("phases_after", job=job, after=after, stage=stage):
        asked = {"pool": phase["id"], "phase": phase["number"], "after": phase["after"], "limit": limit - len(found)}
        found += c.all("tasks_of_phase_after", state=state, number=number, **asked)
        if len(found) == limit:
            break
    return found


# The states of a task in users' words, where the recorded ones are about attempts.
STATES = {"leased": "running", "committed": "done"}
RECORDED = {STATES.get(state, str(state)): str(state) for state in TaskState}


def task_line(row: Row) -> str:
    """One task as a line: its number, input and state, and, once it has ended, its usage (times in µs)."""
    shown = {
        "taskId": row["uuid"],
        "number": row["id"],
        "task": row["number"],
        "phaseNum": row["phase"],
        "state": STATES.get(row["state"], row["state"]),
        "attempts": row["attempt"],
        "retries": row["retries"],
        "input": row["input"],
        "p0input": row["origin"],
        "reducer": row["reducer"],
        "usage": json.loads(row["usage"]) if row["usage"] else None,
    }
    return compact({key: value for key, value in shown.items() if value is not None})


def _before_latest(c: Connection, what: str, row: Row) -> int:
    """The sequence number before the latest entries of a list."""
    if what == "fail":
        found = c.one("latest_failures", job=row["id"], limit=LATEST)
        return found["seq"] if found is not None else 0
    fresh = c.one("job_by_id", job=row["id"])
    count = {"in": "inputs", "out": "outputs", "err": "errors"}[what]
    total: int = (fresh if fresh is not None else row)[count]
    return max(0, total - LATEST)


def page_limit(call: Call, default: int) -> int:
    text = call.query.get("limit", str(default))
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_PAGE:
        raise errors.invalid_parameter(text, "limit")
    return int(text)


def page_marker(call: Call) -> int:
    return integer(call, "marker")


def integer(call: Call, name: str) -> int:
    """The value of a parameter that is a number; 0 if it is missing. Raises WireError."""
    text = call.query.get(name, "0")
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise errors.invalid_parameter(text, name)
    return int(text)


def lines_reply(lines: list[str], content_type: str | None, headers: dict[str, str] | None = None) -> web.Response:
    """A reply of lines of text; one without lines and without a content type has no body and no type."""
    kind = {"Content-Type": content_type} if content_type else {}
    return web.Response(body="".join(f"{line}\n" for line in lines).encode(), headers={**kind, **(headers or {})})
