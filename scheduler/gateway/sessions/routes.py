"""Attaching: `GET /:login/medusa/attach/:job/(master|slave)[?idle=SECONDS][&task=NUMBER[&session=ID]]`.

What can be refused is refused before the connection is upgraded, in Manta's order: the job, its state, the upgrade,
the end, the pairing. The master may say after how many seconds without a key or a screen its session ends, and beside
which running task it is to be; then the slave names that task, and the session's id.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.gateway.job_lists import integer
from scheduler.gateway.jobs import find_job, require_open
from scheduler.gateway.sessions import elsewhere, task_shells
from scheduler.gateway.sessions.session import End, Place, Slave
from scheduler.http.websocket import accept, wants_upgrade
from scheduler.model import errors
from scheduler.records.database import Row

log = logging.getLogger(__name__)

PATH = ["medusa", "attach"]
IDLE_SECONDS = 3600.0
IDLE = re.compile(r"[1-9][0-9]{0,5}\Z")


def is_session_call(segments: list[str]) -> bool:
    """Whether a path below a login (given by its segments) attaches to a session."""
    return len(segments) == 4 and segments[:2] == PATH


async def handle(call: Call) -> web.StreamResponse:
    """Serve one end of a session until it ends. Raises WireError."""
    if call.method != "GET":
        raise errors.method_not_allowed(call.method)
    _, login, *_, job, kind = call.path.split("/")
    job = job.lower()
    row = await find_job(call, login, job)
    require_open(row)
    if not wants_upgrade(call.request):
        raise errors.expected_upgrade(call.path)
    end = end_named(kind)
    refuse_other_jobs(call, job, end)
    sessions, place = call.context.sessions, Place(job, integer(call, "task"))
    if place not in sessions:
        if elsewhere.was_passed_on(call):
            raise errors.session_not_found(job)
        if end is End.SLAVE and (connection := await elsewhere.pass_on(call, row["id"], place)):
            return connection
    slave = await slave_at(call, row, place) if end is End.MASTER else None
    async with contextlib.AsyncExitStack() as stack:
        attached = sessions.attached(place, end, idle_seconds(call), call.query.get("session"))
        session = await stack.enter_async_context(attached)
        if end is End.MASTER:
            await stack.enter_async_context(elsewhere.recorded(call, row["id"], place, session.id))
        connection = await accept(call.request)
        about: dict[str, Any] = {"login": login, "job": job, "end": end.value}
        about |= {"by": call.caller.proof.value, "key": call.caller.key, "task": place.task or None}
        log.info("attached to a session", extra=about)
        close = await session.serve(end, connection, slave)
        log.info("left a session", extra=about | {"why": close.reason, "bytes": session.moved[end]})
    return connection


async def slave_at(call: Call, job: Row, place: Place) -> Slave:
    """The program that is to come to a place. Raises WireError for a task that does not run."""
    if place.task:
        return await task_shells.find(call, job, place.task)
    return OwnTask(partial(call.service.runs, place.job))


@dataclass(frozen=True, slots=True)
class OwnTask:
    """The program of a job's own session: it is the job's command, and comes by itself."""

    job_runs: Callable[[], Awaitable[bool]]
    over: str = "the job is done"
    in_task: bool = False

    async def start(self, _session: str) -> None:
        return

    async def runs(self) -> bool:
        return await self.job_runs()


def end_named(kind: str) -> End:
    """The end of a session that a path names. Raises WireError, in which Manta mixes up name and value."""
    if kind not in [end.value for end in End]:
        raise errors.invalid_parameter("type", kind)
    return End(kind)


def refuse_other_jobs(call: Call, job: str, end: End) -> None:
    """Raises WireError if a task attaches to anything but the task's end of its own job's session."""
    if call.caller.job is not None and (call.caller.job != job or end is not End.SLAVE):
        raise errors.authorization_failed(str(call.caller), call.path)


def idle_seconds(call: Call) -> float:
    text = call.query.get("idle")
    if text is not None and not IDLE.match(text):
        raise errors.invalid_parameter(text, "idle")
    return IDLE_SECONDS if text is None else float(text)
