"""What there is to list of jobs: the jobs themselves, and of one job its inputs, outputs, failures, errors, tasks.

    GET  /:login/jobs?state= name=               jobs whose record still exists
    GET  …/:id/live/in|out|fail|err              one a line
    GET  …/:id/live/tasks?state= number=         one JSON object a line

A list may be longer than anybody's memory, so whoever wants all of it asks for pages: with
`limit`, and from the second on with the `marker` that `X-Remora-Next` of the page before
gave. Without either the four old lists show the latest 100 entries, as they always did, and
the list of jobs its first 1000.

Markers are no secret, and open nothing: whatever number is sent, a page holds only what its job has, and a list of
jobs continues only after a job of the same account.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.model import errors, names
from scheduler.model.display import compact
from scheduler.records.database import Connection, Row, select
from scheduler.supervisor.jobs.error_records import live_line
from scheduler.supervisor.jobs.status import iso

# Entries of a live list for clients that do not page.
LATEST = 100
MAX_PAGE = 1000
NEXT = "X-Remora-Next"
JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

ERRORS_TYPE = "application/x-json-stream; type=job-error"
JOBS_TYPE = "application/x-json-stream; type=job"
TASKS_TYPE = "application/x-json-stream; type=task"


def name_line(row: Row) -> str:
    return names.as_line(row["name"])


def error_line(row: Row) -> str:
    return live_line(row["name"])


# What a list is called, its statement, its content type, how a row becomes a line.
LISTS: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "in": ("list_inputs", "text/plain", name_line),
    "out": ("list_outputs", "text/plain", name_line),
    "fail": ("list_failures", "text/plain", name_line),
    "err": ("list_errors", ERRORS_TYPE, error_line),
}


async def list_jobs(call: Call) -> web.StreamResponse:
    """`GET /:login/jobs?state=…`: jobs whose record still exists, oldest first."""
    if call.method not in ("GET", "HEAD"):
        raise errors.method_not_allowed(call.method)
    state = call.query.get("state", "live")
    for parameter in ("state", "status"):
        value = call.query.get(parameter, "live")
        if value not in ("live", "running", "done"):
            raise errors.invalid_parameter(value, parameter)
    name = call.query.get("name")
    if name is not None and not is_name(name):
        raise errors.invalid_parameter(name, "name")
    limit = page_limit(call, MAX_PAGE)
    search = partial(_jobs_after, call, limit=limit, state=state, name=name)
    rows = await call.context.db.read(search)
    following = {NEXT: rows[-1]["uuid"]} if "limit" in call.query and len(rows) == limit else {}
    return lines_reply([job_line(row) for row in rows], JOBS_TYPE if rows else None, following)


def is_name(text: str) -> bool:
    """Whether a job may have this name: whatever is accepted when it is created, which the databases can hold."""
    return bool(text) and "\0" not in text


def _jobs_after(call: Call, c: Connection, **search: object) -> list[Row]:
    owner = names.owner(call.path)
    marker = call.query.get("marker", "")
    after = 0
    if JOB_ID.match(marker):  # other markers mean nothing, as ever
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
        return await show_page(call, row, statement, content_type, line)

    def read(c: Connection) -> list[str]:
        rows = c.all(statement, job=row["id"], after=_before_latest(c, what, row), limit=LATEST)
        return [line(found) for found in rows]

    return lines_reply(await call.context.db.read(read), content_type)


async def show_page(
    call: Call, row: Row, statement: str, content_type: str, line: Callable[[Row], str], key: str = "seq"
) -> web.StreamResponse:
    """A page of a list of a job, after the marker, which is a value of the column `key`."""
    after, limit = page_marker(call), page_limit(call, LATEST)

    def read(c: Connection) -> tuple[list[str], dict[str, str]]:  # lines are made here: a page would hold up the loop
        rows = c.all(statement, job=row["id"], after=after, limit=limit)
        return [line(found) for found in rows], {NEXT: str(rows[-1][key])} if len(rows) == limit else {}

    lines, following = await call.context.db.read(read)
    return lines_reply(lines, content_type, following)


async def show_tasks(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/tasks[?state=running]`: always in pages; with `?number=` one task."""
    state = call.query.get("state", "")
    if "number" in call.query:
        one = select("task_of_job", job=row["id"], task=integer(call, "number"))
        return lines_reply([task_line(task) for task in await call.context.db.read(one)], TASKS_TYPE)
    if state not in ("", "running"):
        raise errors.invalid_parameter(state, "state")
    statement = "leased_tasks_after" if state else "tasks_after"
    return await show_page(call, row, statement, TASKS_TYPE, task_line, key="id")


# The states of a task in users' words, where ours are about attempts.
STATES = {"leased": "running", "committed": "done"}


def task_line(row: Row) -> str:
    """A task: which, of what, how it stands, and, once it is over, what it took (times in µs)."""
    shown = {
        "taskId": row["uuid"],
        "number": row["id"],
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
    """A parameter that is a number; 0 if it is not there. Raises WireError."""
    text = call.query.get(name, "0")
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise errors.invalid_parameter(text, name)
    return int(text)


def lines_reply(lines: list[str], content_type: str | None, headers: dict[str, str] | None = None) -> web.Response:
    """Lines of text; without any, and without a content type, nothing at all."""
    kind = {"Content-Type": content_type} if content_type else {}
    return web.Response(body="".join(f"{line}\n" for line in lines).encode(), headers={**kind, **(headers or {})})
