"""The service as a task sees it: HTTP at `MANTA_URL`, nothing to sign.

Each instance has a port of its own, on loopback (`Instance.door`); what arrives there, and comes from a
process of that instance, is passed on to the gateway with the job's token. Bodies stream
both ways and are never held whole. Three requests are more than that (headers in any case):

- `PUT` with `X-Manta-Stream: stdout` makes an output of the task. It becomes visible when the
  task is committed and not before, so it goes into a blob here and not to the gateway. A link
  has no bytes: it is made at once, and its name is the output.
- `PUT` with `X-Manta-Reference` makes an output of a name. Nothing is sent anywhere.
- `GET` of the task's own input, when it is an intermediate that the namespace does not know.

A port belongs to an instance, and a request to the task that runs when it arrives; when
nothing runs the answer is 409, as it was from the first. `Endpoints` is one HTTP server for
all the ports: a port costs a listening socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import time
import weakref
from collections.abc import Callable

from aiohttp import web

from scheduler.agent.attempt import Attempt
from scheduler.agent.emission import emit_body, refer
from scheduler.agent.forward import Forwarder
from scheduler.agent.host import Host, no_task
from scheduler.agent.peers import Address, is_inside
from scheduler.http import answering
from scheduler.http.protocol import IDLE_SECONDS, READ_BUFFER, Server
from scheduler.http.upload import Announced
from scheduler.model import errors, names
from scheduler.model.errors import WireError
from scheduler.model.tiers import MAX_REDUCERS
from scheduler.objects import headers
from scheduler.providers import Door

log = logging.getLogger("remora.agent")
MAX_PENDING = 25
# At once and for each instance; with all of them a task could take every descriptor that we may have.
MAX_CONNECTIONS = 250
FAILED = 400  # statuses from here on
LENIENT_INTEGER = re.compile(r"\s*([+-]?\d+)")


class Refusal(asyncio.Protocol):
    """What a connection too many gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]


class Endpoint:
    """The port of one instance."""

    def __init__(self, owner: Endpoints, host: Host, address: Address, url: str) -> None:
        self.host = host
        self.address = address
        self.url = url
        self.pending = asyncio.Semaphore(MAX_PENDING)
        self._owner = owner
        self._server: asyncio.Server | None = None
        self._connections: weakref.WeakSet[web.RequestHandler] = weakref.WeakSet()

    async def listen(self, listener: socket.socket, make: Callable[[], web.RequestHandler]) -> None:
        """Serve what connects, each by a handler of its own. Raises OSError."""

        def accept() -> asyncio.Protocol:
            if sum(each.transport is not None for each in self._connections) >= MAX_CONNECTIONS:
                return Refusal()
            handler = make()
            self._connections.add(handler)
            return handler

        self._server = await asyncio.get_running_loop().create_server(accept, sock=listener)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._owner.forget(self)


class Endpoints:
    """One HTTP server for the ports of all instances. As a `Speaker` it replies in the name of its node."""

    def __init__(self, forwarder: Forwarder, node: str) -> None:
        self.server_name = node
        self._forward = forwarder
        self._ports: dict[Address, Endpoint] = {}
        plain = web.Server(
            self._handle,
            access_log=None,
            read_bufsize=READ_BUFFER,
            auto_decompress=False,
            keepalive_timeout=IDLE_SECONDS,
        )
        self._server = Server(self, plain)
        self._known: weakref.WeakKeyDictionary[asyncio.BaseTransport, Endpoint] = weakref.WeakKeyDictionary()

    def clock(self) -> int:
        return time.time_ns() // 1_000_000

    async def open(self, host: Host) -> Endpoint:
        """A fresh port for an instance. Raises OSError."""
        listener, url = open_door(host.instance.door)
        address: Address = listener.getsockname()
        endpoint = self._ports[address] = Endpoint(self, host, address, url)
        await endpoint.listen(listener, self._server)
        return endpoint

    def forget(self, endpoint: Endpoint) -> None:
        del self._ports[endpoint.address]

    async def close(self) -> None:
        await self._server.shutdown()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            endpoint = self._identify(request)
            async with endpoint.pending:
                reply = await self._answer(endpoint.host, request)
        except WireError as error:
            reply = answering.refusal(request, error)
        except ConnectionError:
            raise
        except Exception:
            log.exception("request of a task failed", extra={"path": request.raw_path})
            reply = answering.refusal(request, errors.internal_error())
        if not reply.prepared:
            answering.begin(self, request, reply)
        return reply

    def _identify(self, request: web.BaseRequest) -> Endpoint:
        """Whose port it is, if it is one of the instance's own who asks. Raises WireError."""
        transport = request.transport
        if transport is None:
            raise forbidden()
        if (known := self._known.get(transport)) is not None:
            return known
        server, client = addresses(transport)
        endpoint = self._ports.get(server)
        if endpoint is None or not is_inside(endpoint.host.instance, client, server):
            raise forbidden()
        self._known[transport] = endpoint
        return endpoint

    async def _answer(self, host: Host, request: web.BaseRequest) -> web.StreamResponse:
        running = host.running()
        if running is None:
            raise no_task()
        own = running.lease.blob if not running.init and own_input(running, request) else None
        kind = headers.requested_kind(request.headers)
        if request.method != "PUT" or kind == "directory":
            return await self._forward(request, host.spec.token, running, own)
        if request.headers.get("X-Manta-Reference"):
            return refer(the_asking(host, request), request, reducer_of(request))
        if request.headers.get("X-Manta-Stream", "").lower() != "stdout":
            if not kind and request.query.get("metadata") != "true":
                Announced.of(request)  # refused here, since what has no length could not be passed on as it is
            return await self._forward(request, host.spec.token, running, own)
        asking = the_asking(host, request)
        asking.uncaptured = True
        reducer = reducer_of(request)
        if kind != "link":
            return await emit_body(host, asking, request, reducer)
        reply = await self._forward(request, host.spec.token, asking, None)
        if reply.status < FAILED and host.current() is asking:
            refer(asking, request, reducer)
        return reply


def open_door(door: Door) -> tuple[socket.socket, str]:
    """Listen, and the URL for tasks. Raises OSError.

    The port may be taken by somebody who listens at all addresses; then it is any.
    """
    if door.url is not None:
        with contextlib.suppress(OSError):
            return socket.create_server((door.address, door.port), backlog=MAX_PENDING), door.url
    listener = socket.create_server((door.address, 0), backlog=MAX_PENDING)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


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


def addresses(transport: asyncio.BaseTransport) -> tuple[Address, Address]:
    """`(ours, theirs)`. Raises WireError if the connection is gone already."""
    ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if not ours or not theirs:
        raise forbidden()
    return ours[:2], theirs[:2]


def forbidden() -> WireError:
    return WireError(403, "AuthorizationFailed", "this endpoint is for the tasks of one instance only")
