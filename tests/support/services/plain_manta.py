"""A server that knows only what the original service knew, and can be told to misbehave.

It has no `wait`, no paging of lists, and counts requests. `replies` maps `METHOD /path` to a
queue of replies; the last one stays. Used for what a healthy service never does: transfers
that break off, wrong checksums, live records that are gone.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cli.client.session import Session
from cli.client.settings import Settings


@dataclass
class Reply:
    """`cut`: send only so many bytes of the body, then close the connection."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class Seen:
    headers: dict[str, str]
    body: bytes


@dataclass
class Manta:
    url: str
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    seen: list[Seen] = field(default_factory=list)

    def session(self) -> Session:
        return Session(Settings(url=self.url, account="jill", home="jill", no_auth=True))

    def environ(self) -> dict[str, str]:
        return {"MANTA_URL": self.url, "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}


def md5(data: bytes) -> dict[str, str]:
    return {"content-md5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}


@contextmanager
def manta(tls: ssl.SSLContext | None = None) -> Iterator[Manta]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            key = f"{self.command} {self.path.partition('?')[0]}"
            service.asked[key] += 1
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.seen.append(Seen(headers, self.rfile.read(length)))
            queue = service.replies.get(key) or [Reply(404)]
            reply = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(reply.status)
            for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        # A stranger who connects and says nothing holds up its own thread, and not the one that accepts.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    service = Manta(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
