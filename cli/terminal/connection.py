"""A WebSocket over a socket that does not block, plain or TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from socket import socket

from cli.terminal.frames import Incoming, Kind, Message, close_with, seal

PIECE = 64 * 1024
AT_ONCE = 4  # pieces, before keys get their turn
LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """A connection to the other end. All its OSErrors mean that it is lost."""

    def __init__(self, sock: socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._incoming = Incoming()
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    @property
    def is_sending(self) -> bool:
        return bool(self._unsent)

    @property
    def is_pending(self) -> bool:
        """Whether something has come that the kernel does not know of any more (TLS)."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def send(self, kind: Kind, data: bytes) -> None:
        """Send a message, as far as the socket takes it; `flush` sends the rest."""
        self._unsent += seal(kind, data)
        self.flush()

    def end(self, reason: str) -> None:
        """Tell the other end that this one is done."""
        self.send(Kind.CLOSE, close_with(reason))

    def flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except LATER:
            return

    def receive(self) -> Iterator[Message]:
        """What has come, but for pings, which are answered. Raises ConnectionError at the end of the stream."""
        for _ in range(AT_ONCE):
            try:
                data = self._socket.recv(PIECE)
            except LATER:
                return
            if not data:
                raise ConnectionResetError("the service closed it")
            for message in self._incoming.feed(data):
                if message.kind is Kind.PING:
                    self.send(Kind.PONG, message.data)
                else:
                    yield message
