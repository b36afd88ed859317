"""The plain connection: what it makes of replies, and of a service that hangs up."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cli.client.problem import Problem
from cli.client.session import check_header
from cli.client.transport.connection import Reply, ServiceConnection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def service(*connections: list[bytes]) -> Iterator[tuple[ServiceConnection, list[bytes]]]:
    """A service that gives each connection its replies, one a request, and hangs up; and the requests it got."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for replies in connections:
                peer, _ = listener.accept()
                with peer, peer.makefile("rb") as requests:
                    for reply in replies:
                        got.append(read_request(requests))
                        peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        connection = ServiceConnection(f"http://127.0.0.1:{listener.getsockname()[1]}", None)
        try:
            yield connection, got
        finally:
            connection.close()
            thread.join(20)
            assert not thread.is_alive()


def read_request(requests: object) -> bytes:
    lines = []
    while (line := requests.readline()) not in (b"", b"\r\n"):  # type: ignore[attr-defined]
        lines.append(line)
    size = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
    return b"".join(lines) + requests.read(size)  # type: ignore[attr-defined,no-any-return]


def ask(connection: ServiceConnection, method: str = "GET", body: bytes | None = None) -> Reply:
    return connection.exchange(method, "/x", {"date": "now"}, body)


def test_exchanges_share_a_connection() -> None:
    with service([OK, OK]) as (connection, got):
        assert (ask(connection).content, ask(connection, "PUT", b"body").status_code) == (b"ok", 200)
        host = got[0].split(b"\r\n")[1]
        assert got == [
            b"GET /x HTTP/1.1\r\n" + host + b"\r\ndate: now\r\n",
            b"PUT /x HTTP/1.1\r\n" + host + b"\r\ndate: now\r\ncontent-length: 4\r\nbody",
        ]
        assert host.startswith(b"host: 127.0.0.1:")


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: 1\r\n\r\n",
         b"abc0123456789"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", b""),
    ],
)  # fmt: skip
def test_a_body_ends_where_its_framing_says(reply: bytes, content: bytes) -> None:
    with service([reply]) as (connection, _):
        assert ask(connection).content == content


def test_head_has_no_body_whatever_its_length_says() -> None:
    with service([b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", OK]) as (connection, _):
        assert ask(connection, "HEAD").reason_phrase == "Not Found"
        assert ask(connection).content == b"ok"


def test_headers_have_lower_case_names_and_are_joined_and_any_text() -> None:
    reply = "HTTP/1.1 200 OK\r\nM-A: 1\r\nm-a:  2 \r\nm-ü: grün\r\ncontent-length: 0\r\n\r\n".encode()
    with service([reply]) as (connection, _):
        assert ask(connection).headers == {"m-a": "1, 2", "m-ü": "grün", "content-length": "0"}


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    with service([OK], [OK]) as (connection, got):
        ask(connection)
        select.select([connection._socket], [], [], 20)  # the service hangs up
        assert ask(connection, "POST", b"once").content == b"ok"
        assert len(got) == 2


def test_a_question_that_a_kept_connection_swallowed_is_asked_again() -> None:
    with service([OK, b""], [OK]) as (connection, got):
        ask(connection)
        assert ask(connection).content == b"ok"
        assert len(got) == 3


def test_what_may_have_been_done_is_not_repeated() -> None:
    with service([OK, b""]) as (connection, got):
        ask(connection)
        with pytest.raises(Problem, match=r"the connection to .* broke"):
            ask(connection, "POST", b"once")
        assert len(got) == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5_0\r\n\r\n" + b"x" * 50,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 70000,
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(300)) + b"\r\n",
        b"",
    ],
)
def test_nonsense_is_a_broken_connection_and_is_not_kept(reply: bytes) -> None:
    with service([reply]) as (connection, _):
        with pytest.raises(Problem) as caught:
            ask(connection, "POST", b"")
        assert caught.value.name == "ConnectionError"
        assert connection._socket is None


@pytest.mark.parametrize(("name", "value"), [("m-a", "1\r\nm-b: 2"), ("m a", "1"), ("m-ä", "1"), ("m-a", "\0")])
def test_what_would_not_stay_one_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(Problem, match="cannot be sent: a name is one ASCII word, a value one line"):
        check_header(name, value)
