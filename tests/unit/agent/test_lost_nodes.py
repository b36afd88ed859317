"""Reads from nodes that get lost end at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.agent.blobs import fetch as getting
from scheduler.agent.blobs.fetch import BlobGoneError, fetch
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.lost_nodes import LostNodes
from scheduler.agent.transport import Reach
from tests.support.nodes.peers import Peer, crook, passes_on, peer, says

DATA = b"some bytes"
NEVER = threading.Event()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Peer]:
    with peer(tmp_path / "there") as made:
        yield made


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow at once."""
    monkeypatch.setattr(getting, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(getting, "LONGEST_PAUSE", 0.05)


def test_a_peer_whose_node_gets_lost_is_not_waited_for(there: Peer, tmp_path: Path) -> None:
    """It is silent, so it is asked again and again: until a supervisor says that the node is lost."""
    reach, blob = Reach(), there.put(DATA)

    def hang_up(connection: socket.socket) -> None:
        reach.lost.tell("a link", ["other"])
        if way.connections == 4:
            reach.lost.tell("another", ["far"])
        says(b"")(connection)

    with crook(*[hang_up] * 5, passes_on(there.port)) as way, (tmp_path / "file").open("wb") as target:
        with pytest.raises(BlobGoneError, match=r"^node far is lost$"):
            fetch(way.ref(blob), target.fileno(), Traffic(), NEVER, reach)
        assert way.connections == 4
        reach.lost.tell("another", [])
        fetch(way.ref(blob), target.fileno(), Traffic(), NEVER, reach)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_node_is_lost_as_long_as_one_supervisor_says_so() -> None:
    lost = LostNodes()
    lost.tell("one", ["a", "b"])
    lost.tell("other", ["b"])
    assert "a" in lost and "b" in lost and "c" not in lost and None not in lost
    lost.tell("one", [])
    assert "a" not in lost and "b" in lost
    lost.forget("other")
    lost.forget("unknown")
    assert "b" not in lost
