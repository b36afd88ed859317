"""The jobs API: creating, feeding, ending, cancelling and inspecting jobs.

    POST /:login/jobs                     a job document     → 201, Location
    GET  …/:id/live/status                status; `?wait=s` waits for a change, at most s seconds
    GET  …/:id/live/usage                 the usage of its tasks, phase by phase
    GET  …/:id/live/log                   the output of a running task so far (`task_log`)
    GET  …/:id/live/attempts              the attempts of an operation (`attempts`)
    POST …/:id/live/in[?end=true]         lines of input, any number
    POST …/:id/live/in/end, …/cancel

Lists are in `job_lists`, further control in `control`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

from aiohttp import web

from scheduler.gateway import attempt_files, control
from scheduler.gateway.attempts import show_attempts
from scheduler.gateway.context import Call
from scheduler.gateway.job_lists import list_jobs, show_list, show_tasks
from scheduler.gateway.task_log import show_log
from scheduler.http.body import invite, next_chunk, read_body
from scheduler.http.replies import json_reply
from scheduler.model import errors, names
from scheduler.model.job import decode_job, parse_job
from scheduler.model.tiers import MAX_JOB_BYTES
from scheduler.objects import headers as kept_headers
from scheduler.records.database import Connection, Row, select
from scheduler.supervisor.jobs.intake import Creator, JobRef
from scheduler.supervisor.jobs.status import status
from scheduler.supervisor.jobs.usage import usage_document

# Bounds on the lines of input that one transaction records, for which other writers wait, and on one line.
INPUT_BATCH = 500
INPUT_BATCH_BYTES = 1 << 20
MAX_LINE = 8 * 1024  # longer than any object's name can be
MAX_WAIT_SECONDS = 60.0

Serve = Callable[[Call, Row], Awaitable[web.StreamResponse]]


async def handle(call: Call) -> web.StreamResponse:
    """Serve a request of the jobs API."""
    segments = call.path.split("/")
    if len(segments) == 3:
        return await (create(call) if call.method == "POST" else list_jobs(call))
    what = "/".join(segments[5:])
    routes = routes_of(what)
    if routes is None:
        raise errors.no_such_route(call.path)
    serve = routes.get("GET" if call.method == "HEAD" else call.method)
    if serve is None:
        raise errors.method_not_allowed(call.method)
    return await serve(call, await find_job(call, segments[1], segments[3]))


def routes_of(what: str) -> Mapping[str, Serve] | None:
    """What serves a path below `live/`, by method; None if there is no such path."""
    found = {"GET": attempt_files.find(what), "POST": control.find(what)}
    return ROUTES.get(what) or {method: serve for method, serve in found.items() if serve} or None


async def find_job(call: Call, login: str, uuid: str) -> Row:
    """The record of a job. Raises WireError for a job that does not exist or that the caller may not see."""
    rows = await call.context.db.look_up(select("job_by_uuid", uuid=uuid))
    if not rows:
        raise errors.no_such_route(call.path)
    if rows[0]["owner"] != login:
        raise errors.not_found(call.path)
    return rows[0]


async def create(call: Call) -> web.StreamResponse:
    """`POST /:login/jobs`."""
    body = await read_body(call.request, MAX_JOB_BYTES)
    document = decode_job(body) if call.request.content_type == "application/json" else {}
    spec = parse_job(document, call.context.images())
    login = names.owner(call.path)
    await call.context.limiter.check_jobs(login, await call.context.limiter.limits_of(call.caller.limits))
    headers = kept_headers.stored(call.request.headers, directory=True)
    uuid = await call.service.create_job(login, spec, headers, Creator(call.caller.key, call.caller.job))
    return web.Response(status=201, headers={"Location": f"/{login}/jobs/{uuid}"})


async def show_status(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/status`."""
    if row["state"] != "done" and (seconds := wait_seconds(call)):
        await call.service.wait_for_change(ref(row), seconds)

    def read(c: Connection) -> dict[str, object]:
        fresh = c.one("job_by_uuid", uuid=row["uuid"])
        return status(c, fresh if fresh is not None else row)

    return json_reply(await call.context.db.read(read))


async def show_usage(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/usage`."""
    return json_reply(await call.context.db.read(lambda c: usage_document(c, row)))


def wait_seconds(call: Call) -> float:
    text = call.query.get("wait", "0")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII):
        raise errors.invalid_parameter(text, "wait")
    return min(float(text), MAX_WAIT_SECONDS)


async def add_inputs(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/in`: record lines of input, a batch at a time, without holding the whole body."""
    job = require_open(row, input_open=True)
    most = await call.context.limiter.limits_of(call.caller.limits)
    inputs = row["inputs"]
    await invite(call.request)
    ends = call.query.get("end") == "true"
    rest, whole = b"", False
    while not whole:
        chunk = await next_chunk(call.request)
        whole = not chunk or call.request.content.at_eof()  # what comes last is recorded together with the end
        lines, rest = split_lines(rest + chunk)
        if any(len(line) > MAX_LINE for line in (*lines, rest)):
            raise errors.bad_request(f"a line of input is longer than {MAX_LINE} bytes")
        if whole and rest:
            lines.append(rest)
        inputs += len(lines)
        await call.context.limiter.check_inputs(row["owner"], most, inputs)
        await _record(call, job, lines, ends and whole)
    return web.Response(status=204)


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """The complete lines, which end with LF, CR LF or CR, without blank ones; and the rest after the last of them."""
    lines = data.splitlines(keepends=True)
    rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
    return [line for line in (line.rstrip(b"\r\n") for line in lines) if line], rest


async def _record(call: Call, job: JobRef, lines: list[bytes], end: bool) -> None:
    """Record lines of input, and then the `end` of the input."""
    parts = list(batches(lines))
    for number, batch in enumerate(parts, 1):
        last = end and number == len(parts)
        await call.service.add_inputs(job, [line.decode("utf-8", "replace") for line in batch], last)
    if end and not parts:
        await call.service.end_input(job)


def batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Lines in order, in batches of at most as many lines and bytes as one transaction may record."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == INPUT_BATCH or size + len(line) > INPUT_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


async def end_input(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/in/end`."""
    await call.service.end_input(require_open(row))
    return web.Response(status=202)


async def cancel(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/cancel`."""
    await call.service.cancel(require_open(row))
    return web.Response(status=202)


def require_open(row: Row, input_open: bool = False) -> JobRef:
    """A reference to the job, if it can still be changed. Raises WireError InvalidJobState."""
    if row["cancelled"]:
        raise errors.invalid_job_state(row["uuid"], "cancelled")
    if row["state"] == "done":
        raise errors.invalid_job_state(row["uuid"], "done")
    if input_open and row["input_done"]:
        raise errors.invalid_job_state(row["uuid"], "inputDone")
    return ref(row)


def ref(row: Row) -> JobRef:
    return JobRef(row["id"], row["uuid"])


ROUTES: dict[str, dict[str, Serve]] = {
    "status": {"GET": show_status},
    "usage": {"GET": show_usage},
    "tasks": {"GET": show_tasks},
    "log": {"GET": show_log},
    "attempts": {"GET": show_attempts},
    "in": {"GET": partial(show_list, "in"), "POST": add_inputs},
    "in/end": {"POST": end_input},
    "cancel": {"POST": cancel},
    **{what: {"GET": partial(show_list, what)} for what in ("out", "fail", "err")},
}
