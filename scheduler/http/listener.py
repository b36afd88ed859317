"""Listening sockets that accept connections within bounds, which `limits` decides.

The kernel queues connections until they are accepted, and reports the socket as readable meanwhile. So a connection
that is refused is accepted first and closed at once; without a free descriptor for that, a spare one is closed first,
since the event loop would otherwise find the same connection again and again.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.http.limits import ConnectionLimits

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
MOST_REFUSED_AT_ONCE = 64  # before other events of the loop are handled
# Whether a connection (its socket, the address of its peer) may be accepted.
Welcome = Callable[[socket.socket, Any], bool]


class Accepted(socket.socket):
    """The socket of one connection."""

    def __init__(self, sock: socket.socket, address: Any, limits: ConnectionLimits) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.peer = peer_of(address)
        self.since = time.monotonic()
        self.counted = False
        self.trusted = False
        self.on_probation = False
        self._limits = limits

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        fd = self.fileno()
        super().close()
        if fd >= 0:
            self._limits.gone(self, fd)


class Listener(socket.socket):
    """A listening socket that accepts within bounds."""

    def __init__(self, sock: socket.socket, limits: ConnectionLimits, welcome: Welcome | None) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._limits = limits
        self._welcome = welcome
        self._spare = spare_descriptor()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection within the bounds; those before it are closed. Raises BlockingIOError: there is none."""
        for _ in range(MOST_REFUSED_AT_ONCE):
            try:
                plain, address = super().accept()
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                self._turn_away(error)
                continue
            if self._welcome is not None and not self._welcome(plain, address):
                plain.close()
                continue
            accepted = Accepted(plain, address, self._limits)
            if self._limits.admit(accepted):
                return accepted, address
            accepted.close()
        raise BlockingIOError  # the event loop handles other events, and comes back

    def _turn_away(self, error: OSError) -> None:
        """Refuse a connection by means of the spare descriptor: without one it could only stay queued.

        Raises `error` if another part of the process has taken the freed descriptor.
        """
        log.warning("no descriptor is left for connections", extra={"why": error.strerror})
        self._limits.make_room()
        if self._spare < 0:
            self._spare = spare_descriptor()
            raise error
        os.close(self._spare)
        self._spare = -1
        try:
            super().accept()[0].close()
        finally:
            self._spare = spare_descriptor()

    def close(self) -> None:
        super().close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1


def spare_descriptor() -> int:
    """A descriptor that serves only to be closed when it is needed; -1 if none can be had."""
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def peer_of(address: Any) -> str:
    """The peer to which a connection counts; all connections without an address (Unix sockets) are one peer."""
    if not isinstance(address, tuple):
        return ""
    host = str(address[0]).partition("%")[0]
    if ":" not in host:
        return host
    v6 = ipaddress.IPv6Address(host)
    return str(v6.ipv4_mapped or ipaddress.IPv6Network((v6, 64), strict=False).network_address)
