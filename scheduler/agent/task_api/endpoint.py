"""The HTTP endpoint of an instance, `MANTA_URL`: the service as tasks see it, without signatures.

Each instance has a port of its own, on loopback (`Instance.door`); a request that arrives there, from a
process of that instance, is forwarded to the gateway with the job's token. Bodies stream both ways and
are never held whole. Three kinds of requests are handled here (headers in any case):

- `PUT` with `X-Manta-Stream: stdout` makes an output of the task. It becomes visible when the task
  is committed and not before, so it goes into a blob of this node and not to the gateway. A link
  has no bytes: it is made at once, and its name is the output.
- `PUT` with `X-Manta-Reference` makes an output of a name. Nothing is sent anywhere.
- `GET` of what the task itself has emitted (`own_outputs`), and of its own input, when that is an
  intermediate that the namespace does not know.

A `GET` that asks for a WebSocket becomes one, and so does a connection to the gateway (`tunnel`).

A port belongs to an instance and accepts only its processes (`instance_port`). A request belongs to the
task that runs when it arrives; when nothing runs the answer is 409, as in Manta. `Endpoints` is one
HTTP server for all the ports: a port costs a listening socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import time

from aiohttp import web

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.task_api.caller import Sockets
from scheduler.agent.task_api.emission import emit_body, refer
from scheduler.agent.task_api.forward import Forwarder
from scheduler.agent.task_api.instance_port import BACKLOG, Bounds, Entrance, TaskConnection
from scheduler.agent.task_api.own_outputs import emitted_by, send_output
from scheduler.agent.task_api.task_host import TaskHost, no_task
from scheduler.agent.task_api.tunnel import Tunnels
from scheduler.http import answering
from scheduler.http.protocol import IDLE_SECONDS, READ_BUFFER, HttpServer
from scheduler.http.upload import Announced
from scheduler.http.websocket import wants_upgrade
from scheduler.model import errors, names
from scheduler.model.errors import WireError
from scheduler.model.tiers import MAX_REDUCERS
from scheduler.objects import headers
from scheduler.providers import Door

log = logging.getLogger("remora.agent")
MAX_PENDING = 25
FAILED = 400  # statuses from here on
LENIENT_INTEGER = re.compile(r"\s*([+-]?\d+)")


class Endpoint:
    """The endpoint of one instance: its port and its URL."""

    def __init__(self, host: TaskHost, listener: socket.socket, url: str, endpoints: Endpoints) -> None:
        self.host = host
        self.url = url
        self.pending = asyncio.Semaphore(MAX_PENDING)
        self.entrance = Entrance(
            listener, host.instance, endpoints.server, endpoints.sockets, endpoints.bounds, key=self
        )

    def close(self) -> None:
        self.entrance.close()


class Endpoints:
    """One HTTP server for the ports of all instances. As a `Speaker` it replies in the name of its node."""

    def __init__(self, forwarder: Forwarder, tunnels: Tunnels, node: str) -> None:
        self.server_name = node
        self.sockets = Sockets()
        self.bounds = Bounds()
        self._forward = forwarder
        self._tunnels = tunnels
        plain = web.Server(
            self._handle,
            access_log=None,
            read_bufsize=READ_BUFFER // 2,  # there may be hundreds of connections of each instance
            auto_decompress=False,
            keepalive_timeout=IDLE_SECONDS,
        )
        self.server = HttpServer(self, plain)

    def clock(self) -> int:
        return time.time_ns() // 1_000_000

    async def open(self, host: TaskHost) -> Endpoint:
        """Open a new port for an instance. Raises OSError."""
        listener, url = open_door(host.instance.door)
        return Endpoint(host, listener, url, self)

    async def close(self) -> None:
        await self.server.shutdown()
        self.sockets.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            endpoint = endpoint_of(request)
            await endpoint.entrance.turns.mine()
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

    async def _answer(self, host: TaskHost, request: web.BaseRequest) -> web.StreamResponse:
        running = host.running()
        if running is None:
            raise no_task()
        check_target(request)
        if wants_upgrade(request):
            return await self._tunnels.serve(request, host, running)
        if (output := emitted_by(running, request)) is not None:
            return await send_output(host.stores, the_asking(host, request), output, request)
        own = running.lease.blob if not running.init and own_input(running, request) else None
        kind = headers.requested_kind(request.headers)
        if request.method != "PUT" or kind == "directory":
            return await self._forward(request, host.spec.token, running, own)
        if request.headers.get("X-Manta-Reference"):
            return refer(the_asking(host, request), request, reducer_of(request))
        if request.headers.get("X-Manta-Stream", "").lower() != "stdout":
            if not kind and request.query.get("metadata") != "true":
                Announced.of(request)  # refused here, since a body without a length could not be forwarded unchanged
            return await self._forward(request, host.spec.token, running, own)
        asking = the_asking(host, request)
        asking.check_room()
        asking.uncaptured = True
        reducer = reducer_of(request)
        if kind != "link":
            return await emit_body(host, asking, request, reducer)
        reply = await self._forward(request, host.spec.token, asking, None)
        if reply.status < FAILED and host.current() is asking:
            refer(asking, request, reducer)
        return reply


def open_door(door: Door) -> tuple[socket.socket, str]:
    """Listen at a door; returns the socket and the URL for tasks. Raises OSError.

    If another process holds the port by listening at all addresses, any free port is used.
    """
    if door.url is not None:
        with contextlib.suppress(OSError):
            return socket.create_server((door.address, door.port), backlog=BACKLOG), door.url
    listener = socket.create_server((door.address, 0), backlog=BACKLOG)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


def endpoint_of(request: web.BaseRequest) -> Endpoint:
    """The endpoint whose port a request came to. Raises WireError if its connection is gone already."""
    connection = request.protocol
    if not isinstance(connection, TaskConnection):
        raise no_task()
    connection.asked = True
    endpoint: Endpoint = connection.entrance.key
    return endpoint


def check_target(request: web.BaseRequest) -> None:
    """Raises WireError for a target that is no path: of a proxy (`CONNECT host:1`, `GET http://…`), or `*`."""
    if not request.raw_path.startswith("/"):
        raise errors.bad_request("the target of a request begins with a slash here")


def the_asking(host: TaskHost, request: web.BaseRequest) -> Attempt:
    """The attempt that a request is part of: the one that runs now, if the process that asks is still alive."""
    attempt = host.current()
    connection = request.protocol
    if attempt is None or not isinstance(connection, TaskConnection) or not connection.is_alive():
        raise no_task()
    return attempt


def own_input(attempt: Attempt, request: web.BaseRequest) -> bool:
    """Whether the request reads the very object that the task was started for."""
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
