"""Small objects, one PUT each: what a request costs, whatever its bytes.

A client that does next to nothing keeps a number of connections busy: each sends its next request when it has the
reply to the one before. The client signs the date once, so that its own time is a few microseconds a request, and runs
in this process while the gateway has one of its own. Each reply means that the object is on disk under its name, so
one connection alone waits for two flushes a request; many share them.
"""

from __future__ import annotations

import itertools
import selectors
import socket
from collections.abc import Iterator
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

    def turn(connections: int, count: int) -> float:
        into = f"{setting.home}/puts-{next(directories)}"
        objects.make_directory(session, into)
        return count / seconds(lambda: put_many(session, into, body, connections, count))

    turn(MANY, setting.size(2000, 50))  # warms the gateway up
    (many,) = interleave(setting.rounds, lambda: turn(MANY, setting.size(10_000, 200)))
    (alone,) = interleave(setting.rounds, lambda: turn(1, setting.size(1000, 50)))
    what = f"PUTs of {BYTES:,} bytes"
    yield Line(f"{what}, {MANY} connections", "objects/s", many, Bar(goal=2000, absolute=True))
    yield Line(f"{what}, one connection", "objects/s", alone, Bar(goal=600, absolute=True))


def put_many(session: Session, into: str, body: bytes, connections: int, count: int) -> None:
    """Put `count` objects with the same bytes into a directory, over some connections. Raises RuntimeError."""
    address = urlsplit(session.settings.url)
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed(session).items())
    rest = f" HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
    requests = (f"PUT {into}/{number:06}".encode() + rest for number in range(count))
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
