"""Strangers at the port where a node gives its intermediates to other nodes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.agent.blobs.server import BlobServer, Limits
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.common.ids import new_id
from scheduler.http.limits import Bounds
from scheduler.model.credentials.tickets import source_of
from scheduler.objects.blobs import BlobStore
from tests.support.nodes.peers import KEY

DATA = b"an intermediate"
PLACES = 8


class Served:
    """An exchange with one blob."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._blobs, blob = BlobStore(folder), new_id()
        fd = self._blobs.create()
        with open(fd, "wb") as file:
            file.write(DATA)
            file.flush()
            self._blobs.publish(fd, blob)
        limits = Limits(Bounds(total=PLACES, per_peer=PLACES, reserve=PLACES), seconds)
        self._exchange = BlobServer(self._blobs, KEY, Traffic(), limits)
        self.port = self._exchange.start("127.0.0.1", 0)
        self._path = source_of("http://x", KEY, blob, "here").removeprefix("http://x")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, sock: socket.socket, path: str | None = None) -> bytes:
        """The status and body of a reply, or nothing from a connection that is closed."""
        with contextlib.suppress(ConnectionError):
            sock.sendall(f"GET {path or self._path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return sock.recv(10_000)
        return b""

    def close(self) -> None:
        self._exchange.close()
        self._blobs.close()


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    made = Served(tmp_path, getattr(request, "param", 10.0))
    yield made
    made.close()


def test_a_connection_without_a_ticket_ends_with_its_403(served: Served) -> None:
    with served.connect() as stranger:
        assert b"403 Forbidden" in served.ask(stranger, "/blobs/x?ticket=y")
        assert served.ask(stranger) == b""


@pytest.mark.parametrize("served", [0.1], indirect=True)
@pytest.mark.parametrize("said", [b"", b"GET /blobs/"])
def test_a_connection_that_has_not_asked_in_time_is_closed(served: Served, said: bytes) -> None:
    with served.connect() as mute:
        mute.sendall(said)
        assert mute.recv(1) == b""


def test_idle_strangers_take_no_place_of_a_node(served: Served) -> None:
    with contextlib.ExitStack() as strangers:
        for _ in range(10 * PLACES):
            strangers.enter_context(served.connect())
        with served.connect() as node:
            assert served.ask(node).endswith(DATA)
            for _ in range(10 * PLACES):
                strangers.enter_context(served.connect())
            assert served.ask(node).endswith(DATA)
