"""The listening sockets of a gateway or a supervisor."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from scheduler.http.limits import Bounds, ConnectionLimits

BACKLOG = 1024  # connections that wait until the event loop accepts them


@dataclass(frozen=True, slots=True)
class Connections:
    """The operator's bounds on connections: in all, and of one peer; None: by the number of descriptors."""

    total: int | None = None
    per_peer: int | None = None

    def limits(self) -> ConnectionLimits:
        return ConnectionLimits(Bounds.of_process(self.total, self.per_peer))


BY_DESCRIPTORS = Connections()


async def open_listeners(host: str, port: int, limits: ConnectionLimits, shared: bool = False) -> list[socket.socket]:
    """Open a socket for each address of `host` (all addresses if it is empty). Raises OSError.

    `shared`: among processes of one user, to which the kernel divides connections.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            listening = socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=shared)
            listeners.append(limits.listener(listening))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners
