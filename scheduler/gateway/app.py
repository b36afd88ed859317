"""Requests: from the path to the reply.

Routing looks at the first segments of the path as it was sent: a library router would decode
and normalise it first, and then the path that was signed could no longer be known.

    /ping  /healthz  /metrics         the service itself; the last for its operator
    /_agent/…                         the agents, which have credentials of their own
    /:login/tokens                    a token for the caller
    /:login/jobs                      POST, or GET with a filter: jobs
    /:login/jobs/:id/live/…           jobs
    /:login/medusa/attach/:id/…       interactive sessions
    /:login[/<top>[/…]]               objects and directories

A request below a login is checked in this order: the caller's proof, the version and the form of the
path, whether the path's owner exists, roles (which are refused), and permission. A preflight (`OPTIONS`)
skips the last three: browsers send it without credentials, and the reply tells only the policy that is
stored for pages, and for private names not even that (`storage.routes.preflight`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from scheduler.gateway import agents, auditing, health, jobs
from scheduler.gateway.access import permissions
from scheduler.gateway.access.authentication import Authenticator
from scheduler.gateway.context import ANONYMOUS, Call, Context, Handler
from scheduler.gateway.sessions import routes as sessions
from scheduler.gateway.storage import routes
from scheduler.http import answering, role_headers
from scheduler.http.limits import ConnectionLimits, on_probation
from scheduler.http.progress import progress
from scheduler.http.protocol import IDLE_SECONDS, READ_BUFFER, HttpConnection, HttpServer
from scheduler.http.replies import json_reply
from scheduler.model import errors, names, semver
from scheduler.model.errors import WireError
from scheduler.records.database import DatabaseFullError

log = logging.getLogger(__name__)

# Parameters that turn the listing of a login's jobs into a search among its live jobs.
JOB_FILTERS = frozenset({"state", "status", "name", "alias", "type", "since", "before", "failed"})
API_VERSION = "1.0.0"
MAX_PARAMETERS = 100


class Runner(web.BaseRunner):
    """Runs a gateway; used as any runner: setup, then a `web.SockSite`, then cleanup.

    There is no `web.Application`: its router would decode paths, and costs as much as our own routing. `limits` bounds
    the connections of the sites' listeners.
    """

    def __init__(
        self,
        context: Context,
        shutdown_timeout: float = 60.0,
        idle_seconds: float = IDLE_SECONDS,
        limits: ConnectionLimits | None = None,
    ) -> None:
        super().__init__(shutdown_timeout=shutdown_timeout)
        self._context = context
        self._limits = limits
        self._idle_seconds = idle_seconds

    async def _make_server(self) -> web.Server:
        gateway = Gateway(self._context)
        plain = web.Server(
            gateway.answer, request_factory=make_request, access_log=None, read_bufsize=READ_BUFFER,
            auto_decompress=False, keepalive_timeout=self._idle_seconds,
        )  # fmt: skip
        return HttpServer(self._context, plain, self._limits)

    async def shutdown(self) -> None:
        await self._context.sessions.close()

    async def _cleanup_server(self) -> None:
        """Nothing: the context is closed by its owner."""


class Request(web.BaseRequest):
    """A request whose reply gets the common headers just before it is sent."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        assert isinstance(self.protocol, HttpConnection)
        answering.begin(self.protocol.speaker, self, response)


def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Request:
    return Request(message, payload, protocol, writer, task, asyncio.get_running_loop())


class Gateway:
    """Routes requests and turns errors into replies."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.authenticator = Authenticator(context)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The reply to one request. Raises only if the connection cannot be used any more."""
        at = progress(request)
        # without the query, which may hold a signature and must not be logged
        path = request.raw_path.partition("?")[0]
        if (task := asyncio.current_task()) is not None:
            task.set_name(f"request {at.id} {request.method} {path[:200]}")  # the watchdog reports this name
        code = ""
        try:
            reply = await self._dispatch(request)
        except WireError as error:
            code = error.code
            reply = answering.refusal(request, error)
        except DatabaseFullError:
            reply = answering.refusal(request, errors.not_enough_space("records: the disk of the service is full"))
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            log.exception("request failed", extra={"request_id": at.id, "path": path})
            reply = answering.refusal(request, errors.internal_error())
        auditing.record(self.context.logs, request, at, reply, code)
        self.context.metrics.answered(request.method, at.route, reply.status, time.monotonic() - at.started)
        return reply

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = request.raw_path.partition("?")
        if handler := health.ROUTES.get(raw_path):
            return await self._serve(request, raw_path[1:], handler, raw_path, raw_query)
        if raw_path.startswith("/_agent/"):
            return await self._serve(request, "agent", agents.handle, raw_path, raw_query)
        if on_probation(request):
            raise errors.too_many_connections()
        if not self.context.public:
            raise errors.no_such_route(request.raw_path)
        check_target(raw_path, raw_query)
        limiter, connection = self.context.limiter, request.protocol
        assert isinstance(connection, HttpConnection)
        await limiter.turn(connection.caller or f"unknown at {request.remote}")
        caller = await self.authenticator.identify(request)
        progress(request).caller = caller
        connection.caller = caller.login or f"anonymous at {request.remote}"
        await limiter.check_rate(connection.caller, await limiter.limits_of(caller.limits))
        check_version(request)
        path = names.from_request(raw_path)
        query = parse_query(raw_query)
        call = Call(request, path, raw_path, query, caller, self.context)
        if names.depth(path) == 0:
            raise errors.no_such_route(request.raw_path)
        if request.method == "OPTIONS":
            progress(request).route = "preflight"
            return await routes.preflight(call)
        await self._admit(call)
        progress(request).route, handler = self._route(call)
        if handler is None:
            raise errors.no_such_route(request.raw_path)
        return await handler(call)

    async def _admit(self, call: Call) -> None:
        """Raises WireError unless the path has an owner and the caller may do what it asks.

        An anonymous caller is refused first, so that it cannot tell whose account there is.
        """
        known = call.caller.login is not None
        if known:
            await self._check_owner(call)
        role_headers.refuse_roles(permissions.said(call, "role"))
        permissions.permit(call)
        if not known:
            await self._check_owner(call)

    async def _check_owner(self, call: Call) -> None:
        owner = names.owner(call.path)
        if not await self.authenticator.account_exists(owner):
            raise errors.account_does_not_exist(owner)

    async def _serve(
        self, request: web.BaseRequest, route: str, handler: Handler, raw_path: str, raw_query: str
    ) -> web.StreamResponse:
        """Serve a route outside of all logins; its handler checks permission."""
        progress(request).route = route
        return await handler(Call(request, raw_path, raw_path, parse_query(raw_query), ANONYMOUS, self.context))

    def _route(self, call: Call) -> tuple[str, Handler | None]:
        segments = call.path.split("/")[2:]
        if segments == ["tokens"]:
            return "tokens", self._issue_token
        if sessions.is_session_call(segments):
            return "sessions", sessions.handle
        if segments and segments[0] not in names.TOP_LEVEL:
            return "none", None
        if is_job_call(call, segments):
            return "jobs", jobs.handle
        return "storage", routes.handle

    async def _issue_token(self, call: Call) -> web.StreamResponse:
        if call.method != "POST":
            raise errors.method_not_allowed(call.method)
        log.info("token issued", extra={"login": call.caller.login, "key": call.caller.key})
        return json_reply({"token": await self.authenticator.issue(call.caller)}, 201)


def is_job_call(call: Call, segments: list[str]) -> bool:
    """Whether a path below a login (given by its segments) belongs to the jobs API."""
    if segments == ["jobs"]:
        return call.method == "POST" or (call.method in ("GET", "HEAD") and not JOB_FILTERS.isdisjoint(call.query))
    return len(segments) >= 4 and segments[0] == "jobs" and segments[2] == "live"


def parse_query(raw: str) -> dict[str, str]:
    """The parameters of a query; of several with one name the last counts."""
    return dict(parse_qsl(raw, keep_blank_values=True, errors="replace")) if raw else {}


def check_target(raw_path: str, raw_query: str) -> None:
    """Refuse a target that would be expensive to parse, or that is not a path, before anything else. Raises WireError.

    HTTP has targets without a leading slash (`http://…`, `host:port`, `*`): they are for proxies.
    """
    if not raw_path.startswith("/"):
        raise errors.invalid_resource(raw_path)
    if raw_query.count("&") >= MAX_PARAMETERS:
        raise errors.bad_request(f"a query has at most {MAX_PARAMETERS} parameters")


def check_version(request: web.BaseRequest) -> None:
    """Check the version of the API that a client asks for, an npm-style range. Raises WireError."""
    wanted = request.headers.get("Accept-Version", "*").strip()
    if not admits_our_version(wanted):
        raise errors.invalid_version(wanted, request.method, request.raw_path.partition("?")[0])


@lru_cache(maxsize=256)
def admits_our_version(wanted: str) -> bool:
    try:
        return semver.newest([API_VERSION], wanted) is not None
    except ValueError:
        return False


__all__ = ["Runner"]
