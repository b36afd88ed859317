"""What the gateway writes into its audit and access logs about a request that was answered.

A request that changed something is an event (`object`, `job`, `token`), and so is an end of a session, once it is over
(`session`); one that was denied is another, and the access log has them all. An event names the caller, the address of
the connection, and the request's id, which is in the reply too.
"""

from __future__ import annotations

import time

from aiohttp import web

from scheduler.audit import Logs
from scheduler.gateway.context import ANONYMOUS, Caller
from scheduler.http.progress import Progress

CHANGING = frozenset({"PUT", "POST", "DELETE"})
# Statuses of requests that a caller may not make, and of those beyond a limit.
DENIED = frozenset({401, 403, 429, 507})
SESSIONS = "sessions"
EVENTS = {"storage": "object", "jobs": "job", "tokens": "token", SESSIONS: "session"}


def record(logs: Logs, request: web.BaseRequest, at: Progress, reply: web.StreamResponse, code: str) -> None:
    """Write what is to be written about a request. `code`: of the error, if it is one."""
    caller = at.caller if isinstance(at.caller, Caller) else ANONYMOUS
    fields = {
        "account": caller.login,
        "proof": caller.proof.value if caller.login else None,
        "key": caller.key,
        "job": caller.job,
        "address": request.remote,
        "request_id": at.id,
        "method": request.method[:20],
        "path": request.raw_path.partition("?")[0],
        "status": reply.status,
        "code": code,
        "task": request.query.get("task") if at.route == SESSIONS else None,  # beside which the session was
    }
    if reply.status in DENIED:
        logs.denied(fields, caller.login or request.remote, code)
    elif changes(request, at) and reply.status < 400 and (event := EVENTS.get(at.route)):
        logs.audited(event, fields)
    if at.route != "agent":
        seconds = round(time.monotonic() - at.started, 4)
        logs.accessed(fields | {"route": at.route, "seconds": seconds, "bytes": reply.body_length or None})


def changes(request: web.BaseRequest, at: Progress) -> bool:
    return request.method in CHANGING or at.route == SESSIONS
