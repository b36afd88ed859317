"""Signed requests over kept connections.

A `Session` is one service and one identity. It may be used by many threads at once. Four
rules keep it honest:

- A connection that could not be made is tried three more times: nothing has happened yet.
  A GET or HEAD whose kept connection turns out to be dead is sent once more. Anything that
  the service answered is final, and anything it may have begun is not repeated here.
- A session with `patience` repeats requests while the service is away (see `patience`).
- Replies stream: `stream` hands out the reply before its body, `call` reads a small one.
- An error reply becomes `Refused`, with the code and the sentence that the service gave.

Small exchanges go over plain `connection`s, which start at once: one that is idle, or a new one if
all are busy, so a thread that asks one thing after another keeps its own. What streams goes through
the `pool`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from cli.client.problem import Problem, Refused, refusal
from cli.client.settings import Settings
from cli.client.transport.connection import Reply, ServiceConnection
from cli.client.transport.throttling import unthrottled
from scheduler.model import dates, names

if TYPE_CHECKING:
    import socket
    import ssl

    import httpx

    from cli.client.keys import Signer
    from cli.client.transport.patience import Patience
    from cli.client.transport.pool import Body, ConnectionPool

T = TypeVar("T")
ENDS_LINE = re.compile("[\r\n\0]")
SIGNED = ("date", "(request-target)")
SWITCHED = 101
UPGRADE = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
MAX_ERROR_BODY = 64 * 1024
NO_HEADERS: Mapping[str, str] = {}


class Session:
    """A client of one service. Use as a context manager, or `close` it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.patience: Patience | None = None
        self.reload: Callable[[], Settings] | None = None  # the settings as they are now
        self._trust = trusted(settings)
        self._base = urlsplit(settings.url).path
        self._idle: list[
            ServiceConnection
        ] = []  # the last one used is the next: the others may have been closed meanwhile
        self._pool: ConnectionPool | None = None
        self._one_pool = threading.Lock()
        self.reached = False  # whether the service has answered anything yet

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        if self._pool:
            self._pool.close()

    @cached_property
    def signer(self) -> Signer:
        from cli.client import keys

        return keys.find(self.settings.key_id, self.settings.key_file)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Reply:
        """Send a request; its reply, whatever the status, read whole. `path` is a normal, decoded path.

        Raises `Problem` when the service cannot be reached or breaks off.
        """
        if not (body is None or isinstance(body, bytes)):
            with self.exchange(method, path, query=query, headers=headers, body=body) as response:
                received = dict(response.headers)
                return Reply(self.settings.url, response.status_code, response.reason_phrase, received, response.read())
        target, sent = self._request(method, path, query, headers)
        started = time.monotonic()
        connection = self._free_connection()
        try:
            reply = connection.exchange(method, target, sent, body)
        finally:
            self._idle.append(connection)
        self._answered(method, target, sent, reply.status_code, started)
        return reply

    def upgrade(self, path: str, *, query: Mapping[str, str] | None = None) -> socket.socket:
        """Make a request a WebSocket: its socket, behind the handshake. Raises `Refused` if the service does not."""
        target, sent = self._request("GET", path, query, {**UPGRADE, "sec-websocket-key": new_key()})
        started = time.monotonic()
        connection = ServiceConnection(self.settings.url, self._trust, patience=self.settings.patience)
        answer = connection.upgrade(target, sent)
        status = answer.status_code if isinstance(answer, Reply) else SWITCHED
        self._answered("GET", target, sent, status, started)
        if isinstance(answer, Reply):
            raise refused(answer.status_code, answer.content)
        return answer

    def _free_connection(self) -> ServiceConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return ServiceConnection(self.settings.url, self._trust, patience=self.settings.patience)

    def call(self, method: str, path: str, **more: Any) -> Reply:
        """As `ask`. Raises `Refused` for a status of 400 or more."""
        return self._asked(method, lambda: self._call(method, path, **more), more.get("body"))

    def _call(self, method: str, path: str, **more: Any) -> Reply:
        reply = self.ask(method, path, **more)
        if reply.status_code >= 400:
            raise refused(reply.status_code, reply.content, reply.headers)
        return reply

    def _asked(self, method: str, ask: Callable[[], T], body: Body | None = None) -> T:
        if body is None or isinstance(body, bytes):  # which can be sent again
            ask = partial(unthrottled, ask)
        return self.patience.asked(method, ask, self._follow) if self.patience else ask()

    def _follow(self) -> None:
        """Go to where the service is now: one that is started again may have another port, and writes it down."""
        try:
            settings = self.reload() if self.reload else self.settings
        except Problem:  # nothing is written down at the moment
            return
        if settings.url != self.settings.url:
            self.settings = settings
            self._base = urlsplit(settings.url).path
            self._idle.clear()
            self._pool = None

    @contextmanager
    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[httpx.Response]:
        """As `ask`, with the body of the reply unread: for transfers."""
        target, sent = self._request(method, path, query, headers)
        started = time.monotonic()
        with self._the_pool().exchange(method, target, sent, body) as response:
            self._answered(method, target, sent, response.status_code, started)
            yield response

    @contextmanager
    def stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        """As `exchange`. Raises `Refused` for a status of 400 or more."""
        with ExitStack() as opened:
            yield self._asked(
                method, lambda: opened.enter_context(self._stream(method, path, **more)), more.get("body")
            )

    @contextmanager
    def _stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        with self.exchange(method, path, **more) as response:
            if response.status_code >= 400:
                raise refused(response.status_code, b"".join(first_bytes(response, MAX_ERROR_BODY)), response.headers)
            yield response

    def _the_pool(self) -> ConnectionPool:
        from cli.client.transport.pool import ConnectionPool

        with self._one_pool:
            self._pool = self._pool or ConnectionPool(self.settings.url, self._trust)
            return self._pool

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> tuple[str, dict[str, str]]:
        """The target (path and query, encoded) and the headers of a request, signed. Raises `Problem`."""
        target = self._base + encoded(path)
        if query:
            target += f"?{urlencode(query)}"
        sent = {**self._common_headers(), **(headers or {})}
        for name, value in sent.items():
            check_header(name, value)
        if not self.settings.no_auth:
            sent["authorization"] = self._authorization(method, target, sent)
        return target, sent

    def _common_headers(self) -> dict[str, str]:
        from cli import version

        headers = {
            "accept": "*/*",
            "accept-version": "~1.0",
            "accept-encoding": "identity",
            "date": dates.rfc1123(time.time_ns() // 1_000_000),
            "user-agent": f"remora/{version.VERSION}",
            "x-request-id": str(uuid.uuid4()),
        }
        if self.settings.roles:
            headers["role"] = ",".join(self.settings.roles)
        return headers

    def _authorization(self, method: str, target: str, headers: Mapping[str, str]) -> str:
        from scheduler.model.credentials import httpsig

        text = httpsig.signing_text(SIGNED, method, target, lambda name: [headers[name]])
        key_name = self.settings.key_name(self.signer.fingerprint)
        return httpsig.authorization(key_name, self.signer.algorithm, SIGNED, self.signer.sign(text))

    def _answered(self, method: str, target: str, headers: Mapping[str, str], status: int, started: float) -> None:
        """Remember that the service is there; a JSON line on stderr for each request (`--verbose`)."""
        self.reached = True
        if not self.settings.verbose:
            return
        record = {
            "method": method,
            "url": self.settings.url.removesuffix(self._base) + target,
            "status": status,
            "request_id": headers["x-request-id"],
            "ms": round((time.monotonic() - started) * 1000, 1),
        }
        print(json.dumps(record), file=sys.stderr, flush=True)


def new_key() -> str:
    """The key of a WebSocket's handshake: random, so that no cache answers it."""
    return base64.b64encode(os.urandom(16)).decode()


def encoded(path: str) -> str:
    """A path as it goes into a request. Raises `Problem`."""
    try:
        return names.encode(path)
    except UnicodeEncodeError:
        raise Problem(f"{path!r} is not UTF-8: the service cannot name it") from None


def check_header(name: str, value: str) -> None:
    """Refuse what would not stay one header on its way. Raises `Problem`."""
    if ENDS_LINE.search(name + value) or not name.isascii() or " " in name:
        raise Problem(f"header {name!r} cannot be sent: a name is one ASCII word, a value one line")


def json_of(reply: Reply, text: bytes | None = None) -> Any:
    """The JSON of a reply, or of a line of it. Raises `Problem` if it is none: then this is no such service."""
    try:
        return json.loads(reply.content if text is None else text)
    except ValueError:
        raise not_manta(reply.url) from None


def not_manta(url: str) -> Problem:
    return Problem(f"{url} did not answer as Manta does (is the URL right?)")


def trusted(settings: Settings) -> ssl.SSLContext | None:
    """What certificates to trust: those of the system (`SSL_CERT_FILE`, `SSL_CERT_DIR`), or of `REMORA_CA_FILE`.

    None for plain HTTP. Raises `Problem`.
    """
    if not settings.url.startswith("https:"):
        return None
    import ssl

    file = os.environ.get("REMORA_CA_FILE") or None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        raise Problem(f"cannot read the certificates in {file} (REMORA_CA_FILE): {error.strerror or error}") from None
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def refused(status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Refused:
    """The error that a reply of status 400 or more stands for. `headers`: by lower-case names."""
    code = message = None
    try:
        record: Any = json.loads(body)
        code, message = str(record["code"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        pass
    problem = refusal(status, code, message)
    problem.retry_after = headers.get("retry-after", "")
    return problem


def first_bytes(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body, up to about `limit` bytes."""
    for chunk in response.iter_raw():
        yield chunk
        limit -= len(chunk)
        if limit <= 0:
            return
