"""Small objects, one PUT each: what a request costs, whatever its bytes.

A client that does next to nothing keeps a number of connections busy: each sends its next request when it has the
reply to the one before. It runs in this process, while the gateway has one of its own, and has all requests ready
before, so that its own time is a few microseconds each. They have one signature, over the date, as those of Manta's
clients have within a second; or each has one of its own, which covers its target, as ours sign. Each reply means that
the object is on disk under its name, so one connection alone waits for two flushes a request; many share them.
"""

from __future__ import annotations

import itertools
import selectors
import socket
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from bench.measure import Bar, Line, interleave, seconds
from bench.rows.data.transfer import signed
from bench.setting import Setting
from cli.client import objects
from cli.client.session import Session

BYTES = 1000
MANY = 32
STORED = b"HTTP/1.1 204"
END = b"\r\n\r\n"


def lines(setting: Setting) -> Iterator[Line]:
    session, body = setting.session, b"x" * BYTES
    directories = itertools.count()

    def turn(connections: int, count: int, *, sign_each: bool = False) -> float:
        into = f"{setting.home}/puts-{next(directories)}"
        objects.make_directory(session, into)
        requests = prepared(session, [f"{into}/{number:06}" for number in range(count)], body, sign_each)
        return count / seconds(lambda: put_many(session, connections, requests))

    turn(MANY, setting.size(2000, 50))  # warms the gateway up
    (many,) = interleave(setting.rounds, lambda: turn(MANY, setting.size(10_000, 200)))
    (each,) = interleave(setting.rounds, lambda: turn(MANY, setting.size(10_000, 200), sign_each=True))
    (alone,) = interleave(setting.rounds, lambda: turn(1, setting.size(1000, 50)))
    what = f"PUTs of {BYTES:,} bytes"
    yield Line(f"{what}, {MANY} connections", "objects/s", many, Bar(goal=2000, absolute=True))
    yield Line(f"{what}, {MANY} connections, a signature each", "objects/s", each, Bar(absolute=True))
    yield Line(f"{what}, one connection", "objects/s", alone, Bar(goal=600, absolute=True))


def prepared(session: Session, paths: Iterable[str], body: bytes, sign_each: bool) -> list[bytes]:
    """A PUT of an object with these bytes for each path, with one signature for all or with one for each."""
    host = urlsplit(session.settings.url).netloc
    rest = f"Host: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def proof(path: str = "") -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in signed(session, "PUT", path).items())

    common = proof()
    return [f"PUT {path} HTTP/1.1\r\n{proof(path) if sign_each else common}".encode() + rest for path in paths]


def put_many(session: Session, connections: int, ready: Iterable[bytes]) -> None:
    """Send requests over some connections. Raises RuntimeError unless each is answered with success."""
    address, requests = urlsplit(session.settings.url), iter(ready)
    with selectors.DefaultSelector() as selector:
        for first in itertools.islice(requests, connections):
            connection = socket.create_connection((address.hostname, address.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(first)
            selector.register(connection, selectors.EVENT_READ)
        while waiting := selector.get_map():
            for key, _ in selector.select():
                connection = waiting[key.fd].fileobj  # type: ignore[assignment]
                take_reply(connection)
                if (request := next(requests, None)) is None:
                    selector.unregister(connection)
                    connection.close()
                else:
                    connection.sendall(request)


def take_reply(connection: socket.socket) -> None:
    """Read a reply without a body. Raises RuntimeError unless it says that the object is stored."""
    reply = b""
    while not reply.endswith(END):
        if not (data := connection.recv(65536)):
            break
        reply += data
    if not reply.startswith(STORED):
        raise RuntimeError(f"PUT was answered {reply[:1000]!r}")
