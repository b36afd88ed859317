"""Signed requests over kept connections.

A `Session` is one service and one identity. It may be used by many threads at once. Three
rules keep it honest:

- A connection that could not be made is tried three more times: nothing has happened yet.
  A GET or HEAD whose kept connection turns out to be dead is sent once more. Anything that
  the service answered is final, and anything it may have begun is not repeated here.
- Replies stream: `stream` hands out the reply before its body, `call` reads a small one.
- An error reply becomes `Refused`, with the code and the sentence that the service gave.

Small exchanges, one after another, go over one plain `connection`, which starts at once.
What streams, and what finds that connection busy, goes through the `pool`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from cli.client.connection import Connection, Reply
from cli.client.problem import Problem, Refused, refusal
from cli.client.settings import Settings
from scheduler.model import dates, names

if TYPE_CHECKING:
    import ssl

    import httpx

    from cli.client.keys import Signer
    from cli.client.pool import Body, Pool

SIGNED = ("date", "(request-target)")
MAX_ERROR_BODY = 64 * 1024


class Session:
    """A client of one service. Use as a context manager, or `close` it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._trust = trusted(settings)
        self._base = urlsplit(settings.url).path
        self._connection = Connection(settings.url, self._trust, patience=settings.patience)
        self._connection_free = threading.Lock()
        self._pool: Pool | None = None
        self._one_pool = threading.Lock()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
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
        if not (body is None or isinstance(body, bytes)) or not self._connection_free.acquire(blocking=False):
            with self.exchange(method, path, query=query, headers=headers, body=body) as response:
                received = dict(response.headers)
                return Reply(self.settings.url, response.status_code, response.reason_phrase, received, response.read())
        try:
            target, sent = self._request(method, path, query, headers)
            started = time.monotonic()
            reply = self._connection.exchange(method, target, sent, body)
        finally:
            self._connection_free.release()
        self._trace(method, target, sent, reply.status_code, started)
        return reply

    def call(self, method: str, path: str, **more: Any) -> Reply:
        """As `ask`. Raises `Refused` for a status of 400 or more."""
        reply = self.ask(method, path, **more)
        if reply.status_code >= 400:
            raise refused(reply.status_code, reply.content)
        return reply

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
            self._trace(method, target, sent, response.status_code, started)
            yield response

    @contextmanager
    def stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        """As `exchange`. Raises `Refused` for a status of 400 or more."""
        with self.exchange(method, path, **more) as response:
            if response.status_code >= 400:
                raise refused(response.status_code, b"".join(first_bytes(response, MAX_ERROR_BODY)))
            yield response

    def _the_pool(self) -> Pool:
        from cli.client.pool import Pool

        with self._one_pool:
            self._pool = self._pool or Pool(self.settings.url, self._trust)
            return self._pool

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> tuple[str, dict[str, str]]:
        """The target (path and query, encoded) and the headers of a request, signed. Raises `Problem`."""
        try:
            target = self._base + names.encode(path)
        except UnicodeEncodeError:
            raise Problem(f"{path!r} is not UTF-8: the service cannot name it") from None
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
        from scheduler.model import httpsig

        text = httpsig.signing_text(SIGNED, method, target, lambda name: [headers[name]])
        key_name = self.settings.key_name(self.signer.fingerprint)
        return httpsig.authorization(key_name, self.signer.algorithm, SIGNED, self.signer.sign(text))

    def _trace(self, method: str, target: str, headers: Mapping[str, str], status: int, started: float) -> None:
        """A JSON line on stderr for each request (`--verbose`)."""
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


def check_header(name: str, value: str) -> None:
    """Refuse what would not stay one header on its way. Raises `Problem`."""
    if any(character in name + value for character in "\r\n\0") or not name.isascii() or " " in name:
        raise Problem(f"header {name!r} cannot be sent: a name is one ASCII word, a value one line")


def json_of(reply: Reply, text: bytes | None = None) -> Any:
    """The JSON of a reply, or of a line of it. Raises `Problem` if it is none: then this is no such service."""
    try:
        return json.loads(reply.content if text is None else text)
    except ValueError:
        raise Problem(f"{reply.url} did not answer as Manta does (is the URL right?)") from None


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


def refused(status: int, body: bytes) -> Refused:
    """The error that a reply of status 400 or more stands for."""
    code = message = None
    try:
        record: Any = json.loads(body)
        code, message = str(record["code"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return refusal(status, code, message)


def first_bytes(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body, up to about `limit` bytes."""
    for chunk in response.iter_raw():
        yield chunk
        limit -= len(chunk)
        if limit <= 0:
            return
