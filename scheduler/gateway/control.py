"""Control of a job that runs, below `/:login/jobs/:id/live/`. Each request may be repeated; each is answered by 202.

    POST suspend[?abort=true]         no attempt begins; `abort`: and those that run are aborted, to run again later
    POST resume
    POST complete                     a map ends here, and publishes what there is
    POST abort                        {"reason": TEXT}, or nothing; a job of phases is cancelled
    POST update                       {"title": …, "annotations": …, "max_failed_attempts": …, …}; null removes a key
    POST attempts/STAGE.TASK.N/abort  this attempt is aborted, and its task runs again
    POST tasks/STAGE.TASK/abandon     the task is given up: it counts as done, without output

A state that forbids one is 409, with the state. A request is durable when it is answered; a suspension holds from then
on, and so does an abort, while its last process may run for a moment yet: the status is `aborting` until it is gone.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.http.body import read_body
from scheduler.model import errors
from scheduler.model.job import decode_job
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.model.tiers import MAX_JOB_BYTES
from scheduler.records.database import Row
from scheduler.supervisor.jobs.intake import JobRef

MAX_REASON = 1000
TASK = r"(?P<stage>\d{1,4})\.(?P<task>\d{1,9})"
ATTEMPT = rf"{TASK}\.(?P<attempt>\d{{1,9}})"

Control = Callable[[Call, Row], Awaitable[web.StreamResponse]]
Numbers = dict[str, int]


async def suspend(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/suspend`."""
    value = call.query.get("abort", "false")
    if value not in ("true", "false"):
        raise errors.invalid_parameter(value, "abort")
    return await ask(call, row, ControlRequest(verb=Verb.SUSPEND, aborts=value == "true"))


async def simply(verb: Verb, call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/resume` and `complete`: what they have in their body is ignored."""
    return await ask(call, row, ControlRequest(verb=verb))


async def abort(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/abort`."""
    body = await body_of(call)
    if unknown := next((key for key in body if key != "reason"), None):
        raise errors.invalid_argument(f'"{unknown}" is no part of an abort: it has a reason')
    reason = body.get("reason")
    if reason is not None and (not isinstance(reason, str) or not 0 < len(reason) <= MAX_REASON):
        raise errors.invalid_argument(f'"reason" must be a text of at most {MAX_REASON} characters')
    return await ask(call, row, ControlRequest(verb=Verb.ABORT, reason=reason))


async def update(call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/update`."""
    return await ask(call, row, ControlRequest(verb=Verb.UPDATE, keys=await body_of(call)))


async def about_task(verb: Verb, numbers: Numbers, call: Call, row: Row) -> web.StreamResponse:
    """`POST …/live/attempts/STAGE.TASK.N/abort` and `…/live/tasks/STAGE.TASK/abandon`."""
    return await ask(call, row, ControlRequest.model_validate({"verb": verb, **numbers}))


async def ask(call: Call, row: Row, request: ControlRequest) -> web.StreamResponse:
    """Have a request carried out. Raises WireError."""
    await call.service.control(JobRef(row["id"], row["uuid"]), request)
    return web.Response(status=202)


async def body_of(call: Call) -> dict[str, Any]:
    """The JSON object in the body; an empty one if there is no body. Raises WireError."""
    body = await read_body(call.request, MAX_JOB_BYTES)
    value = decode_job(body) if body else {}
    if not isinstance(value, dict):
        raise errors.invalid_content("an object is required")
    return value


ROUTES: dict[str, Control] = {
    "suspend": suspend,
    "resume": partial(simply, Verb.RESUME),
    "complete": partial(simply, Verb.COMPLETE),
    "abort": abort,
    "update": update,
}
ABOUT_TASKS: tuple[tuple[re.Pattern[str], Verb], ...] = (
    (re.compile(rf"attempts/{ATTEMPT}/abort", re.ASCII), Verb.ABORT_ATTEMPT),
    (re.compile(rf"tasks/{TASK}/abandon", re.ASCII), Verb.ABANDON),
)


def find(what: str) -> Control | None:
    """What serves a POST to a path below `live/`, if it is a control request."""
    for pattern, verb in ABOUT_TASKS:
        if match := pattern.fullmatch(what):
            return partial(about_task, verb, {name: int(number) for name, number in match.groupdict().items()})
    return ROUTES.get(what)
