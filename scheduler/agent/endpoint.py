"""The service as a task sees it: HTTP at `MANTA_URL`, nothing to sign.

Each instance has a port of its own, on loopback; what arrives there, and comes from a
process of that instance, is passed on to the gateway with the job's token. Bodies stream
both ways and are never held whole. Three requests are more than that (headers in any case):

- `PUT` with `X-Manta-Stream: stdout` makes an output of the task. It becomes visible when the
  task is committed and not before, so it goes into a blob here and not to the gateway.
- `PUT` with `X-Manta-Reference` makes an output of a name. Nothing is sent anywhere.
- `GET` of the task's own input, when it is an intermediate that the namespace does not know.

A port belongs to an instance, and a request to the task that runs when it arrives; when
nothing runs the answer is 409, as it was from the first. `Endpoints` is one HTTP server for
all the ports: a port costs a listening socket.
"""

from __future__ import annotations

import asyncio
import re
import socket
import weakref

from aiohttp import web

from scheduler.agent.attempt import Attempt
from scheduler.agent.emission import emit_body, refer
from scheduler.agent.forward import Forwarder, error_reply
from scheduler.agent.host import Host
from scheduler.agent.peers import Address, is_inside
from scheduler.model import names
from scheduler.model.errors import WireError
from scheduler.model.tiers import MAX_REDUCERS

LOOPBACK = "127.0.0.1"
MAX_PENDING = 25
MAX_HEADER = 16 * 1024
DIRECTORY_TYPE = re.compile(r"type\s*=\s*directory")
LENIENT_INTEGER = re.compile(r"\s*([+-]?\d+)")


class Endpoint:
    """The port of one instance."""

    def __init__(self, owner: Endpoints, host: Host, server: asyncio.Server, port: int) -> None:
        self.host = host
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}/"
        self.pending = asyncio.Semaphore(MAX_PENDING)
        self._owner = owner
        self._server = server

    def close(self) -> None:
        self._server.close()
        self._owner.forget(self)


class Endpoints:
    """One HTTP server for the ports of all instances."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forward = forwarder
        self._ports: dict[int, Endpoint] = {}
        self._server = web.Server(self._handle, max_line_size=MAX_HEADER, max_field_size=MAX_HEADER, access_log=None)
        self._known: weakref.WeakKeyDictionary[asyncio.BaseTransport, Endpoint] = weakref.WeakKeyDictionary()

    async def open(self, host: Host) -> Endpoint:
        """A fresh port for an instance. Raises OSError."""
        listener = socket.create_server((LOOPBACK, 0), backlog=MAX_PENDING)
        port: int = listener.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(self._server, sock=listener)
        endpoint = self._ports[port] = Endpoint(self, host, server, port)
        return endpoint

    def forget(self, endpoint: Endpoint) -> None:
        del self._ports[endpoint.port]

    async def close(self) -> None:
        await self._server.shutdown()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            endpoint = self._identify(request)
            async with endpoint.pending:
                return await self._answer(endpoint.host, request)
        except WireError as error:
            return error_reply(request, error)

    def _identify(self, request: web.BaseRequest) -> Endpoint:
        """Whose port it is, if it is one of the instance's own who asks. Raises WireError."""
        transport = request.transport
        if transport is None:
            raise forbidden()
        if (known := self._known.get(transport)) is not None:
            return known
        server, client = addresses(transport)
        endpoint = self._ports.get(server[1])
        if endpoint is None or not is_inside(endpoint.host.instance, client, server):
            raise forbidden()
        self._known[transport] = endpoint
        return endpoint

    async def _answer(self, host: Host, request: web.BaseRequest) -> web.StreamResponse:
        attempt = host.current()
        if attempt is None and not host.initializing:
            raise no_task()
        if request.method == "PUT" and not is_directory(request):
            if request.headers.get("X-Manta-Reference"):
                return refer(the_asking(host, request), request, reducer_of(request))
            if request.headers.get("X-Manta-Stream", "").lower() == "stdout":
                asking = the_asking(host, request)
                asking.uncaptured = True
                return await emit_body(host, asking, request, reducer_of(request))
        own = attempt.lease if attempt is not None and own_input(attempt, request) else None
        return await self._forward(request, host.spec.token, own.blob if own else None)


def the_asking(host: Host, request: web.BaseRequest) -> Attempt:
    """The task that a request is part of: the one that runs now, if the one who asks is still alive."""
    attempt = host.current()
    transport = request.transport
    if attempt is None or transport is None:
        raise no_task()
    server, client = addresses(transport)
    if not is_inside(host.instance, client, server):
        raise no_task()
    return attempt


def own_input(attempt: Attempt, request: web.BaseRequest) -> bool:
    """Does the request read the very object that the task was started for?"""
    if request.method not in ("GET", "HEAD") or attempt.lease.input is None:
        return False
    try:
        return names.from_request(request.raw_path.partition("?")[0]) == attempt.lease.input
    except WireError:
        return False


def reducer_of(request: web.BaseRequest) -> int | None:
    """The reducer that an output is directed to; `12abc` is 12. Raises WireError."""
    text = request.headers.get("X-Manta-Reducer")
    if text is None:
        return None
    match = LENIENT_INTEGER.match(text)
    if match is None or not 0 <= int(match[1]) < MAX_REDUCERS:
        raise WireError(409, "InvalidArgument", "invalid reducer")
    return int(match[1])


def is_directory(request: web.BaseRequest) -> bool:
    return bool(DIRECTORY_TYPE.search(request.headers.get("Content-Type", "").lower()))


def addresses(transport: asyncio.BaseTransport) -> tuple[Address, Address]:
    """`(ours, theirs)`. Raises WireError if the connection is gone already."""
    ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if not ours or not theirs:
        raise forbidden()
    return ours[:2], theirs[:2]


def forbidden() -> WireError:
    return WireError(403, "AuthorizationFailed", "this endpoint is for the tasks of one instance only")


def no_task() -> WireError:
    return WireError(409, "ConflictError", "invalid zone state")
