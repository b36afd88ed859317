"""The listening side of one instance's port, which accepts only connections of the instance's own
processes.

The process that connects is looked up once, when the connection is accepted (`caller`). Connections
of other processes are closed without a byte, and do not count. One connection is accepted in each
turn of the event loop, so a flood of foreign connections at one port costs other instances one
look-up per turn.

Accepted connections are bounded: `MAX_CONNECTIONS` per instance, and `most` for all instances
together, where the first `FEW` of each instance are always granted. A connection without a whole
request after `REQUEST_SECONDS` is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
from typing import Any

from scheduler.agent.task_api.caller import Address, Peer, Sockets, is_inside
from scheduler.agent.task_api.turns import TurnConnection
from scheduler.common.waiting import Turns
from scheduler.http.protocol import HttpServer
from scheduler.providers import Instance
from scheduler.providers.linux.readiness import readable

BACKLOG = 512
MAX_CONNECTIONS = 250
FEW = 16
REQUEST_SECONDS = 10.0
PAUSE_SECONDS = 0.1  # while there are no descriptors left
NO_LINGER = struct.pack("ii", 1, 0)  # close at once, whatever is unsent


class Bounds:
    """The bounds on connections of all instances together."""

    def __init__(self) -> None:
        # Each may need a second one, to the gateway; and half of all descriptors are for tasks.
        self.most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
        self.count = 0

    def allow(self, own: int) -> bool:
        return own < MAX_CONNECTIONS and (own < FEW or self.count < self.most)


class TaskConnection(TurnConnection):
    """A connection that one of an instance's processes made; `instance_port` is that of its instance."""

    def __init__(self, manager: HttpServer, entrance: Entrance, address: Address, peer: Peer, **options: Any) -> None:
        super().__init__(manager, entrance.turns, **options)
        self.entrance = entrance
        self._address = address
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.entrance.enters(self)
        asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.end_if_mute)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.entrance.leaves(self)

    def is_alive(self) -> bool:
        """Whether the connection is still open in the process that made it, or in one that received it from there."""
        return self.entrance.find(self._address) == self._peer


class Entrance:
    """The listener at one port. `key` identifies the instance to the endpoint."""

    def __init__(
        self,
        listener: socket.socket,
        instance: Instance,
        server: HttpServer,
        sockets: Sockets,
        bounds: Bounds,
        key: Any,
    ) -> None:
        self.key = key
        self.turns = Turns()
        self._address: Address = listener.getsockname()[:2]
        self._listener = listener
        self._instance = instance
        self._server = server
        self._sockets = sockets
        self._bounds = bounds
        self._inside: set[TaskConnection] = set()
        listener.setblocking(False)
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def close(self) -> None:
        """Stop listening, and close all accepted connections."""
        self._keeping.cancel()
        self._keeping.add_done_callback(lambda _: self._listener.close())
        for connection in list(self._inside):
            if connection.transport is not None:
                connection.transport.abort()

    def find(self, client: Address) -> Peer | None:
        return self._sockets.find(client, self._address)

    def enters(self, connection: TaskConnection) -> None:
        self._inside.add(connection)
        self._bounds.count += 1

    def leaves(self, connection: TaskConnection) -> None:
        if connection in self._inside:
            self._inside.remove(connection)
            self._bounds.count -= 1

    async def _keep(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                await readable(self._listener.fileno())
                continue
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            try:
                await self._receive(sock, address[:2])
            except OSError:
                hang_up(sock)  # it is gone already
            except asyncio.CancelledError:
                hang_up(sock)
                raise
            await asyncio.sleep(0)

    async def _receive(self, sock: socket.socket, client: Address) -> None:
        peer = await self._insider(client)
        if peer is None or not self._bounds.allow(len(self._inside)):
            hang_up(sock)
            return
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        connection = TaskConnection(self._server, self, client, peer, loop=loop, **self._server._kwargs)
        await loop.connect_accepted_socket(lambda: connection, sock)

    async def _insider(self, client: Address) -> Peer | None:
        """The client's socket, if one of the instance's processes has it; else None."""
        peer = self.find(client)
        if peer is None or not self._instance.has_user(peer.uid):
            return None
        return peer if await is_inside(self._instance, peer) else None


def hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    sock.close()
