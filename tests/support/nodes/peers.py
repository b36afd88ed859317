"""Peers that serve blobs: a real one, and crooked ones that answer as a test says."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from scheduler.agent.blobs.server import BlobServer
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.common.ids import new_id
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import BlobStore

KEY = "k" * 64
Behaviour = Callable[[socket.socket], None]


class Peer:
    """A node with an exchange that really listens."""

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if tls else "http"
        self.blobs = BlobStore(folder)
        self.traffic = Traffic()
        self.exchange = BlobServer(self.blobs, KEY, self.traffic)
        self.port = self.exchange.start("127.0.0.1", 0, tls)

    def put(self, data: bytes) -> BlobRef:
        """A blob of this node, as another node is told of it."""
        fd, blob = self.blobs.create(), new_id()
        os.write(fd, data)
        self.blobs.publish(fd, blob)
        os.close(fd)
        return self.ref(blob, len(data))

    def ref(self, blob: str, size: int) -> BlobRef:
        return BlobRef(
            id=blob,
            size=size,
            node="far",
            source=source_of(f"{self.scheme}://127.0.0.1:{self.port}", KEY, blob, "here"),
        )

    def close(self) -> None:
        self.exchange.close()
        self.blobs.close()


@contextlib.contextmanager
def peer(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    made = Peer(folder, tls)
    try:
        yield made
    finally:
        made.close()


class Crook:
    """Listens, and treats its n-th connection as the n-th behaviour says; the last one goes for all that follow."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def ref(self, blob: BlobRef) -> BlobRef:
        """The same blob, to be had here."""
        assert blob.source is not None
        path = blob.source.split("/", 3)[3]
        scheme = blob.source.partition(":")[0]
        return replace(blob, source=f"{scheme}://127.0.0.1:{self.port}/{path}")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            behaviour = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._behave, args=(behaviour, connection))
            self._threads.append(thread)
            thread.start()

    def _behave(self, behaviour: Behaviour, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            behaviour(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def crook(*behaviours: Behaviour) -> Iterator[Crook]:
    made = Crook(*behaviours)
    try:
        yield made
    finally:
        made.close()


def request_of(connection: socket.socket) -> bytes:
    """What is asked, read to the end of its header."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("hung up")
        asked += piece
    return asked


def says(answer: bytes, hangs: bool = False) -> Behaviour:
    """Answers anything with these bytes, and hangs up, or does not."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer)
        if hangs:
            connection.recv(1)  # until the other side gives up
        else:
            connection.shutdown(socket.SHUT_WR)

    return behave


def passes_on(port: int, most: int | None = None, hangs: bool = False) -> Behaviour:
    """Passes a request on to somebody else, and `most` bytes of the answer's body back; then it is cut, or hangs."""

    def behave(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as there:
            there.sendall(request_of(connection).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"))  # so that it ends
            head = b""
            while b"\r\n\r\n" not in head:
                head += there.recv(1)
            connection.sendall(head)
            left = most
            while left is None or left > 0:
                piece = there.recv(65536 if left is None else min(left, 65536))
                if not piece:
                    break
                connection.sendall(piece)
                left = None if left is None else left - len(piece)
        if hangs:
            connection.recv(1)
        else:
            connection.shutdown(socket.SHUT_RDWR)

    return behave


def keeps_open(port: int, most: int | None = None, seen: bytearray | None = None) -> Behaviour:
    """Passes everything on, both ways, until one of them ends, or `most` bytes have come back. `seen` gets a copy."""

    def behave(connection: socket.socket) -> None:
        came = 0
        with socket.create_connection(("127.0.0.1", port)) as there:
            while most is None or came < most:
                ready, _, _ = select.select([connection, there], [], [])
                for side in ready:
                    piece = side.recv(65536)
                    if not piece:
                        return
                    came += len(piece) if side is there else 0
                    if seen is not None:
                        seen.extend(piece)
                    (there if side is connection else connection).sendall(piece)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def head(status: str = "206 Partial Content", **headers: str) -> bytes:
    """The header of an answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
