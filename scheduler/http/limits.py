"""The bounds on a server's connections: their number in all, their number per peer, and the time without a
request.

A connection costs a descriptor and some memory before it carries a request, so a client that only connects can
exhaust a server without bounds. Connections are counted where they begin: `ConnectionLimits.listener` wraps a
listening socket, and each connection that it accepts counts until its descriptor is closed, TLS handshakes
included.

A connection *waits* while no request of it is being answered: it is *mute* until its first request is whole, *idle*
from its first reply on. Three rules follow:

- Mute connections are closed after `first_request_seconds`. (Idle ones are closed by the server's keep-alive time.)
- Beyond a bound, a new connection takes the place of the one that has waited longest: of the same peer if it is
  the peer's bound, else of all; mute ones go first. So a client that sends its request at once is served,
  however many others only hold connections.
- If none waits, the new connection is refused, that is, closed. But a reserve is kept for trusted peers (agents,
  which prove their identity by their first request): while there is room in it, the connection is accepted *on
  probation*, and the server answers only requests of a trusted peer. `trust` moves a connection out of all
  counts, up to the size of the reserve.

Example: total 300, per peer 256, reserve 90. 1100 silent connections of one address: the 257th closes the first,
and so on; a `PUT` from the same address is served. 300 slow downloads: the 301st connection is on probation.

A peer is an IPv4 address, or the /64 network of an IPv6 address, which one customer has.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from scheduler.common import descriptors
from scheduler.http.listener import Accepted, Listener, Welcome

log = logging.getLogger(__name__)

FIRST_REQUEST_SECONDS = 10.0
SWEEP_SECONDS = 1.0
SAY_SECONDS = 60.0

# Descriptors of a process that are not for connections: databases, logs, directories, libraries.
OWN_DESCRIPTORS = 256
MOST_CONNECTIONS = 8192  # some 20 KB of memory each
MOST_RESERVED = 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers of connections: `total` and `per_peer` of ordinary peers, `reserve` more for trusted ones."""

    total: int
    per_peer: int
    reserve: int = 0

    @classmethod
    def of_process(cls, total: int | None = None, per_peer: int | None = None) -> Bounds:
        """The default for a server that may have a file open for each connection; options replace parts of it."""
        half = max(64, descriptors.limit() - OWN_DESCRIPTORS) // 2
        reserve = min(MOST_RESERVED, half // 4)
        total = total or min(MOST_CONNECTIONS, half - reserve)
        return cls(total, min(total, per_peer or max(256, total // 4)), reserve)


class ConnectionLimits:
    """Counts the connections of one event loop's servers and closes those beyond the bounds."""

    def __init__(self, bounds: Bounds, first_request_seconds: float = FIRST_REQUEST_SECONDS) -> None:
        self.bounds = bounds
        self.refused = 0
        self.evicted = 0
        self.trusted = 0
        self._first_request_seconds = first_request_seconds
        self._all = _Group()
        self._peers: dict[str, _Group] = {}
        self._accepted: dict[int, Accepted] = {}
        self._said: dict[str, float] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def listener(self, sock: socket.socket, welcome: Welcome | None = None) -> socket.socket:
        """A socket for `loop.create_server(sock=…)` that accepts within the bounds. It replaces `sock`, which
        listens.

        `welcome` is called with each new connection before it counts; those for which it returns False are closed.
        """
        return Listener(sock, self, welcome)

    def find(self, transport: asyncio.BaseTransport | None) -> Accepted | None:
        """The connection of a transport, if it came through one of our listeners and is open."""
        sock = transport.get_extra_info("socket") if transport is not None else None
        return self._accepted.get(sock.fileno()) if sock is not None else None

    @property
    def count(self) -> int:
        """The number of connections of ordinary peers."""
        return self._all.count

    def admit(self, accepted: Accepted) -> bool:
        """Count a new connection; False if it has to be closed."""
        peer = self._peers.get(accepted.peer, NO_CONNECTIONS)
        peer_full = peer.count >= self.bounds.per_peer
        if peer_full or self._all.count >= self.bounds.total:
            longest = (peer if peer_full else self._all).longest_waiting()
            if longest is not None:
                self._say("connections are closed while they wait, to make room for others", accepted.peer)
                self._evict(longest)
            elif self._all.count < self.bounds.total + self.bounds.reserve - self.trusted:
                accepted.on_probation = True
            else:
                self._say("connections are refused, for all places are taken", accepted.peer)
                self.refused += 1
                return False
        self._accepted[accepted.fileno()] = accepted
        self._count(accepted)
        self._wait(accepted, mute=True)
        self._sweep_later()
        return True

    def make_room(self) -> None:
        """Close the connection that has waited longest, to free its descriptor."""
        if (longest := self._all.longest_waiting()) is not None:
            self._evict(longest)

    def trust(self, accepted: Accepted) -> None:
        """Count the connection of a peer that has proved its identity against the reserve, while there is room."""
        if accepted.counted and self.trusted < self.bounds.reserve:
            self.uncount(accepted)
            accepted.trusted = True
            accepted.on_probation = False
            self.trusted += 1

    def working(self, accepted: Accepted) -> None:
        """Record that a request of the connection is being answered."""
        for group in self._groups(accepted):
            group.mute.pop(accepted, None)
            group.idle.pop(accepted, None)

    def waiting(self, accepted: Accepted) -> None:
        """Record that a request of the connection has been answered."""
        self._wait(accepted, mute=False)

    def gone(self, accepted: Accepted, fd: int) -> None:
        """Record that the connection's descriptor has been closed."""
        self._accepted.pop(fd, None)
        self.uncount(accepted)
        if accepted.trusted:
            accepted.trusted = False
            self.trusted -= 1

    def uncount(self, accepted: Accepted) -> None:
        """Remove a connection from all counts."""
        if accepted.counted:
            self.working(accepted)
            for group in self._groups(accepted):
                group.count -= 1
            if not self._peers[accepted.peer].count:
                del self._peers[accepted.peer]
            accepted.counted = False

    def _count(self, accepted: Accepted) -> None:
        accepted.counted = True
        self._peers.setdefault(accepted.peer, _Group())
        for group in self._groups(accepted):
            group.count += 1

    def _wait(self, accepted: Accepted, mute: bool) -> None:
        if accepted.counted:
            for group in self._groups(accepted):
                (group.mute if mute else group.idle)[accepted] = None

    def _groups(self, accepted: Accepted) -> tuple[_Group, ...]:
        return (self._all, self._peers[accepted.peer]) if accepted.counted else ()

    def _evict(self, accepted: Accepted) -> None:
        """Close a connection.

        It stops counting at once; the transport closes the descriptor at the end of the stream.
        """
        self.evicted += 1
        self.uncount(accepted)
        accepted.hang_up()

    def _say(self, what: str, peer: str) -> None:
        """Log a refusal, at most once a minute, since clients decide how often it happens."""
        now = time.monotonic()
        if now - self._said.get(what, -SAY_SECONDS) >= SAY_SECONDS:
            self._said[what] = now
            told = {"peer": peer, "count": self.count, "evicted": self.evicted, "refused": self.refused}
            log.warning(what, extra=told)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            pause = min(SWEEP_SECONDS, self._first_request_seconds)
            self._sweeping = asyncio.get_running_loop().call_later(pause, self._sweep)

    def _sweep(self) -> None:
        """Close connections that have been mute for too long; they are in the order of their arrival."""
        self._sweeping = None
        late = time.monotonic() - self._first_request_seconds
        while (oldest := next(iter(self._all.mute), None)) is not None and oldest.since <= late:
            self._evict(oldest)
        if self._all.mute:
            self._sweep_later()


class _Group:
    """Connections with a common bound; the waiting ones in order, the longest first."""

    __slots__ = ("count", "idle", "mute")

    def __init__(self) -> None:
        self.count = 0
        self.mute: dict[Accepted, None] = {}
        self.idle: dict[Accepted, None] = {}

    def longest_waiting(self) -> Accepted | None:
        return next(iter(self.mute), None) or next(iter(self.idle), None)


NO_CONNECTIONS = _Group()


class LimitedHandler(web.RequestHandler):
    """aiohttp's connection, which reports to the limits (if there are any) when it waits."""

    def __init__(self, manager: web.Server, *, limits: ConnectionLimits | None = None, **options: Any) -> None:
        super().__init__(manager, **options)
        self.limits = limits
        self.accepted: Accepted | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.limits is not None:
            self.accepted = self.limits.find(transport)
        super().connection_made(transport)

    async def _handle_request(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        if self.limits is None or self.accepted is None:
            return await super()._handle_request(*arguments)
        self.limits.working(self.accepted)
        try:
            return await super()._handle_request(*arguments)
        finally:
            self.limits.waiting(self.accepted)


def trust(request: web.BaseRequest) -> None:
    """Count the peer of a request as trusted, since it has proved its identity (an agent)."""
    protocol = request.protocol
    if isinstance(protocol, LimitedHandler) and protocol.limits is not None and protocol.accepted is not None:
        protocol.limits.trust(protocol.accepted)


def on_probation(request: web.BaseRequest) -> bool:
    """Whether the connection of a request was accepted for a trusted peer only."""
    protocol = request.protocol
    return isinstance(protocol, LimitedHandler) and protocol.accepted is not None and protocol.accepted.on_probation
