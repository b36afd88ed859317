"""The jobs API: create, feed, end, cancel, look.

    POST /:login/jobs                     a job document     → 201, Location
    GET  /:login/jobs?state= name=        live jobs
    GET  …/:id/live/status                status; `?wait=s` waits for a change, at most s seconds
    POST …/:id/live/in[?end=true]         lines of input, any number
    POST …/:id/live/in/end, …/cancel
    GET  …/:id/live/in|out|fail|err       lists

The lists show the latest 100 entries, as they always did. Who asks with `limit` gets a page of
the complete list from `marker` on, and the next marker in `X-Remora-Next` while there is more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.http.body import invite, next_chunk, read_body
from scheduler.http.replies import json_reply
from scheduler.model import errors, names
from scheduler.model.job import parse_job
from scheduler.model.tiers import MAX_JOB_BYTES
from scheduler.records.database import Connection, Row, select
from scheduler.supervisor.errors import live_line
from scheduler.supervisor.live import LiveJob
from scheduler.supervisor.status import iso, status

# Entries of a live list for clients that do not page.
LATEST = 100
MAX_PAGE = 1000
# Lines of input recorded in one transaction, and bytes of the longest line.
INPUT_BATCH = 1000
MAX_LINE = 64 * 1024
MAX_WAIT_SECONDS = 60.0
JOB_NAME = re.compile(r"[\w-]+\Z", re.ASCII)

ERRORS_TYPE = "application/x-json-stream; type=job-error"
JOBS_TYPE = "application/x-json-stream; type=job"
# What a list is called, its statement, its content type, how a row becomes a line.
LISTS: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "in": ("list_inputs", "text/plain", str),
    "out": ("list_outputs", "text/plain", str),
    "fail": ("list_failures", "text/plain", str),
    "err": ("list_errors", ERRORS_TYPE, live_line),
}

Serve = Callable[[Call, Row], Awaitable[web.StreamResponse]]


async def handle(call: Call) -> web.StreamResponse:
    """The entry point of the subtree."""
    segments = call.path.split("/")
    if len(segments) == 3:
        return await (create(call) if call.method == "POST" else list_jobs(call))
    what = "/".join(segments[5:])
    routes = ROUTES.get(what)
    if routes is None:
        raise errors.no_such_route(call.path)
    serve = routes.get("GET" if call.method == "HEAD" else call.method)
    if serve is None:
        raise errors.method_not_allowed(call.method)
    return await serve(call, await find_job(call, segments[1], segments[3]))


async def find_job(call: Call, login: str, uuid: str) -> Row:
    """The record of a job. Raises WireError as the API does for ones that never were, or are another's."""
    rows = await call.context.db.read(select("job_by_uuid", uuid=uuid))
    if not rows:
        raise errors.no_such_route(call.path)
    if rows[0]["owner"] != login:
        raise errors.not_found(call.path)
    return rows[0]


async def create(call: Call) -> web.StreamResponse:
    """`POST /:login/jobs`."""
    body = await read_body(call.request, MAX_JOB_BYTES)
    spec = parse_job(parse_json(body) if call.request.content_type == "application/json" else {})
    login = names.owner(call.path)
    uuid = await call.context.supervisor.create_job(login, spec)
    return web.Response(status=201, headers={"Location": f"/{login}/jobs/{uuid}"})


def parse_json(body: bytes) -> object:
    """A JSON body. Raises WireError InvalidContent; NaN and infinities are not JSON.

    What we could not send back is refused, too: numbers beyond all measure, halves of surrogate pairs.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        value: object = json.loads(body.decode(), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return value
    except RecursionError:
        raise errors.invalid_content("nested too deeply") from None
    except ValueError as error:
        raise errors.invalid_content(str(error)) from None


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
    if name is not None and not JOB_NAME.match(name):
        raise errors.invalid_parameter(name, "name")
    limit = page_limit(call, MAX_PAGE)
    rows = await call.context.db.read(
        select("jobs_of_owner", owner=names.owner(call.path), state=state, name=name, limit=limit)
    )
    lines = [{"name": row["uuid"], "type": "directory", "mtime": iso(row["created"])} for row in rows]
    body = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    return web.Response(body=body.encode(), headers={"Content-Type": JOBS_TYPE} if lines else None)


async def show_status(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/status`."""
    if row["state"] != "done" and (seconds := wait_seconds(call)):
        await call.context.supervisor.wait_for_change(row["uuid"], seconds)

    def read(c: Connection) -> dict[str, object]:
        fresh = c.one("job_by_uuid", uuid=row["uuid"])
        return status(c, fresh if fresh is not None else row)

    return json_reply(await call.context.db.read(read))


def wait_seconds(call: Call) -> float:
    text = call.query.get("wait", "0")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII):
        raise errors.invalid_parameter(text, "wait")
    return min(float(text), MAX_WAIT_SECONDS)


async def add_inputs(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/in`: lines in, batch by batch, never the whole body."""
    live = require_live(call, row, input_open=True)
    await invite(call.request)
    rest = b""
    while chunk := await next_chunk(call.request):
        lines, rest = split_lines(rest + chunk)
        if any(len(line) > MAX_LINE for line in (*lines, rest)):
            raise errors.bad_request(f"a line of input is longer than {MAX_LINE} bytes")
        await _record(call, live, lines)
    await _record(call, live, [rest] if rest else [])
    if call.query.get("end") == "true":
        await call.context.supervisor.end_input(live)
    return web.Response(status=204)


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines, ended by LF, CR LF or CR, blank ones left out; and what follows the last of them."""
    lines = data.splitlines(keepends=True)
    rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
    return [line for line in (line.rstrip(b"\r\n") for line in lines) if line], rest


async def _record(call: Call, live: LiveJob, lines: list[bytes]) -> None:
    for start in range(0, len(lines), INPUT_BATCH):
        batch = [line.decode("utf-8", "replace") for line in lines[start : start + INPUT_BATCH]]
        await call.context.supervisor.add_inputs(live, batch)


async def end_input(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/in/end`."""
    await call.context.supervisor.end_input(require_live(call, row))
    return web.Response(status=202)


async def cancel(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/cancel`."""
    await call.context.supervisor.cancel(require_live(call, row))
    return web.Response(status=202)


def require_live(call: Call, row: Row, input_open: bool = False) -> LiveJob:
    """The job if it can still be changed. Raises WireError InvalidJobState."""
    live: LiveJob | None = call.context.supervisor.jobs.by_uuid(row["uuid"])
    if row["cancelled"]:
        raise errors.invalid_job_state(row["uuid"], "cancelled")
    if live is None or row["state"] == "done":
        raise errors.invalid_job_state(row["uuid"], "done")
    if input_open and row["input_done"]:
        raise errors.invalid_job_state(row["uuid"], "inputDone")
    return live


async def show_list(what: str, call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/in|out|fail|err`."""
    statement, content_type, line = LISTS[what]
    paging = "limit" in call.query or "marker" in call.query
    limit = page_limit(call, LATEST)

    def read(c: Connection) -> list[Row]:
        after = page_marker(call) if paging else _before_latest(c, what, row)
        return c.all(statement, job=row["id"], after=after, limit=limit)

    rows = await call.context.db.read(read)
    headers = {"Content-Type": content_type}
    if paging and len(rows) == limit:
        headers["X-Remora-Next"] = str(rows[-1]["seq"])
    return web.Response(body="".join(line(found["name"]) + "\n" for found in rows).encode(), headers=headers)


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
    text = call.query.get("marker", "0")
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise errors.invalid_parameter(text, "marker")
    return int(text)


ROUTES: dict[str, dict[str, Serve]] = {
    "status": {"GET": show_status},
    "in": {"GET": partial(show_list, "in"), "POST": add_inputs},
    "in/end": {"POST": end_input},
    "cancel": {"POST": cancel},
    **{what: {"GET": partial(show_list, what)} for what in ("out", "fail", "err")},
}
