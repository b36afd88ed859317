"""What an agent gives to others: to whom it was promised, from the byte that is asked for, and to nobody else."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.agent.blobs import server
from scheduler.agent.process import open_exchange
from scheduler.common.ids import new_id
from scheduler.model.credentials.tickets import ticket_of
from tests.support.lines.noise import noise
from tests.support.nodes.peers import KEY, Peer, peer

TEXT = b"0123456789" * 1000


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("blobs")) as made:
        yield made


def asked_with(ticket: str) -> bytes:
    """A request of somebody who guesses."""
    path = f"/blobs/{new_id()}?for=n1&ticket={ticket}".replace("\r", "").replace("\n", "")
    return f"GET {path} HTTP/1.0\r\n\r\n".encode("utf-8", "surrogatepass")


def ask(
    here: Peer, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def path_of(here: Peer, data: bytes) -> str:
    source = here.put(data).source
    assert source is not None
    return "/" + source.split("/", 3)[3]


def test_a_ticket_gets_the_blob_whole(here: Peer) -> None:
    status, headers, body = ask(here, path_of(here, TEXT))
    assert (status, body) == (200, TEXT)
    assert headers["Content-Length"] == str(len(TEXT))


def test_a_range_begins_at_its_byte(here: Peer) -> None:
    status, headers, body = ask(here, path_of(here, TEXT), headers={"Range": "bytes=9995-"})
    assert (status, body) == (206, b"56789")
    assert headers["Content-Range"] == "bytes 9995-9999/10000"


def test_a_range_beyond_the_end_is_refused(here: Peer) -> None:
    assert ask(here, path_of(here, TEXT), headers={"Range": "bytes=10000-"})[0] == 416


def test_a_head_has_no_body(here: Peer) -> None:
    status, headers, body = ask(here, path_of(here, TEXT), "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(TEXT)), b"")


def test_strangers_get_one_answer_to_everything(here: Peer) -> None:
    there, not_there = here.put(TEXT).id, new_id()
    other = ticket_of(KEY, not_there, "n1")
    paths = [
        f"/blobs/{there}",
        f"/blobs/{not_there}",
        f"/blobs/{there}?for=n1&ticket=",
        f"/blobs/{there}?for=n1&ticket={other}",
        f"/blobs/{there}?for=n1&ticket={'0' * 64}",
        f"/blobs/{there}?for=n1&ticket=%ff%00",
        f"/blobs/{there.upper()}?for=n1&ticket={ticket_of(KEY, there.upper(), 'n1')}",
        f"/blobs/../{there}?for=n1&ticket={ticket_of(KEY, '../' + there, 'n1')}",
        f"/blobs/..%2f..%2fetc%2fpasswd?for=n1&ticket={ticket_of(KEY, '..%2f..%2fetc%2fpasswd', 'n1')}",
        f"/blobs/%ff?for=n1&ticket={other}",
        f"/blobs/{there}?for=n2&ticket={ticket_of(KEY, there, 'n1')}",
        f"/blobs/{there}?ticket={ticket_of(KEY, there, 'n1')}",
        "/",
        "/metrics",
    ]
    answers = {(status, body) for status, _, body in (ask(here, path) for path in paths)}
    assert answers == {(403, b"this takes a ticket\n")}
    for method in ("PUT", "POST", "DELETE", "OPTIONS"):
        assert ask(here, f"/blobs/{there}?for=n1&ticket={ticket_of(KEY, there, 'n1')}", method)[0] == 403


def test_who_has_a_ticket_learns_that_the_blob_is_gone(here: Peer) -> None:
    gone = new_id()
    assert ask(here, f"/blobs/{gone}?for=n1&ticket={ticket_of(KEY, gone, 'n1')}")[0] == 404


def test_a_revoked_node_gets_nothing_whatever_tickets_it_has(here: Peer) -> None:
    there = here.put(TEXT).id
    paths = {node: f"/blobs/{there}?for={node}&ticket={ticket_of(KEY, there, node)}" for node in ("n1", "n2")}
    here.exchange.revoked = frozenset({"n1"})
    assert {node: ask(here, path)[0] for node, path in paths.items()} == {"n1": 403, "n2": 200}


def test_what_shrinks_is_squeezed_for_who_takes_it(here: Peer) -> None:
    data = TEXT * 300
    path = path_of(here, data)
    status, headers, body = ask(here, path, headers={"Accept-Encoding": "zstd", "Range": "bytes=1000-"})
    assert (status, headers["Content-Encoding"]) == (206, "zstd")
    assert headers["Content-Range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
    assert len(body) < len(data) / 10
    assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == data[1000:]
    assert ask(here, path)[2] == data


def test_what_does_not_shrink_or_is_small_travels_as_it_is(here: Peer) -> None:
    for data in (noise(3 << 20), TEXT):
        status, headers, body = ask(here, path_of(here, data), headers={"Accept-Encoding": "zstd"})
        assert (status, headers["Content-Encoding"], body == data) == (200, None, True)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(asked_with)))
def test_whatever_is_sent_gives_nothing_away_and_harms_nobody(here: Peer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", here.port), timeout=10) as stranger:
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            said = b"".join(iter(lambda: stranger.recv(65536), b""))
            assert not said or said.split()[1] in (b"400", b"403", b"501", b"505"), said
    assert ask(here, "/")[0] == 403


def test_bytes_that_went_out_are_counted(tmp_path: Path) -> None:
    with peer(tmp_path) as here:
        ask(here, path_of(here, TEXT), headers={"Range": "bytes=9000-"})
        ask(here, path_of(here, TEXT * 300), headers={"Accept-Encoding": "zstd"})
    assert (here.traffic.served, here.traffic.squeezed) == (1000 + 3_000_000, 3_000_000)


def test_the_key_of_the_tickets_outlives_the_agent_and_is_for_its_user_only(tmp_path: Path) -> None:
    file = tmp_path / "tickets.key"
    key = server.ticket_key(file)
    assert len(key) == 64
    assert server.ticket_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_address_becomes_a_url() -> None:
    assert server.url_of("10.1.2.3", 80) == "http://10.1.2.3:80"
    assert server.url_of("::1", 80) == "http://[::1]:80"


def test_it_stops_in_the_middle_of_what_it_sends(tmp_path: Path) -> None:
    with peer(tmp_path) as here:
        path = path_of(here, bytes(64 << 20))
        with socket.create_connection(("127.0.0.1", here.port), timeout=10) as slow:
            slow.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert slow.recv(4) == b"HTTP"  # and then nothing more is read
            here.exchange.close()
            with pytest.raises(ConnectionError):
                socket.create_connection(("127.0.0.1", here.port), timeout=10)


def test_a_node_names_its_store_whether_or_not_it_serves_it(tmp_path: Path) -> None:
    """The name is that of the state directory: the agent has it after a restart, and another one has not."""

    def store(directory: Path) -> str:
        directory.mkdir(exist_ok=True)
        served, sharing = open_exchange(argparse.Namespace(listen=None, state_dir=directory), Mock(), None)
        assert served is None and set(sharing) == {"store"}
        return sharing["store"]

    assert store(tmp_path / "a") == store(tmp_path / "a") != store(tmp_path / "b")
