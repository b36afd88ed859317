"""Signed requests over kept connections.

A `Session` is one service and one identity. It may be used by many threads at once. Three
rules keep it honest:

- A connection that could not be made is tried three more times: nothing has happened yet.
  A GET or HEAD whose kept connection turns out to be dead is sent once more. Anything that
  the service answered is final, and anything it may have begun is not repeated here.
- Replies stream: `stream` hands out the reply before its body, `call` reads a small one.
- An error reply becomes `Refused`, with the code and the sentence that the service gave.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem, Refused, refusal
from cli.client.settings import Settings
from scheduler.model import names

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    import httpx

    from cli.client.keys import Signer

CONNECT_SECONDS = 4.0
SILENCE_SECONDS = 120.0  # the service itself gives up on a silent transfer sooner
RETRIES = 3
SIGNED = ("date", "(request-target)")
MAX_ERROR_BODY = 64 * 1024
Body = bytes | Iterable[bytes]


def load_httpx() -> ModuleType:
    """Import httpx without its own command-line program, which draws in rich and pygments (35 ms of start-up)."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    import httpx

    return httpx


class Session:
    """A client of one service. Use as a context manager, or `close` it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._httpx = load_httpx()
        self._http: httpx.Client = self._httpx.Client(
            transport=self._httpx.HTTPTransport(
                verify=tls(settings),
                retries=RETRIES,
                limits=self._httpx.Limits(max_connections=None, max_keepalive_connections=64),
            ),
            timeout=self._httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=None),
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @cached_property
    def signer(self) -> Signer:
        from cli.client import keys

        return keys.find(self.settings.key_id, self.settings.key_file)

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
        """Send a request; the reply whatever its status, its body unread. `path` is a normal, decoded path.

        Raises `Problem` when the service cannot be reached or breaks off.
        """
        request = self._request(method, path, query, headers, body)
        try:
            response = self._send(request)
            try:
                yield response
            finally:
                response.close()
        except self._httpx.HTTPError as error:
            raise self._unreachable(error) from error

    @contextmanager
    def stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        """As `exchange`. Raises `Refused` for a status of 400 or more."""
        with self.exchange(method, path, **more) as response:
            if response.status_code >= 400:
                raise read_refusal(response)
            yield response

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """As `stream`, with the body read: for replies that are small by nature."""
        with self.stream(method, path, **more) as response:
            response.read()
            return response

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Body | None,
    ) -> httpx.Request:
        try:
            encoded = names.encode(path)
        except UnicodeEncodeError:
            raise Problem(f"{path!r} is not UTF-8: the service cannot name it") from None
        request = self._http.build_request(
            method,
            self.settings.url + encoded,
            params=query or None,
            headers={**self._common_headers(), **(headers or {})},
            content=body,
        )
        if not self.settings.no_auth:
            request.headers["authorization"] = self._authorization(method, request)
        return request

    def _common_headers(self) -> dict[str, str]:
        from cli import version

        headers = {
            "accept": "*/*",
            "accept-version": "~1.0",
            "accept-encoding": "identity",
            "date": formatdate(usegmt=True),
            "user-agent": f"remora/{version.VERSION}",
            "x-request-id": str(uuid.uuid4()),
        }
        if self.settings.roles:
            headers["role"] = ",".join(self.settings.roles)
        return headers

    def _authorization(self, method: str, request: httpx.Request) -> str:
        from scheduler.model import httpsig

        target = request.url.raw_path.decode("ascii")
        text = httpsig.signing_text(SIGNED, method, target, request.headers.get_list)
        user = self.settings.account + (f"/{self.settings.subuser}" if self.settings.subuser else "")
        key_id = f"/{user}/keys/{self.signer.fingerprint}"
        return httpsig.authorization(key_id, self.signer.algorithm, SIGNED, self.signer.sign(text))

    def _send(self, request: httpx.Request) -> httpx.Response:
        started = time.monotonic()
        try:
            response = self._http.send(request, stream=True)
        except self._httpx.RemoteProtocolError:
            if request.method not in ("GET", "HEAD"):
                raise
            response = self._http.send(request, stream=True)
        if self.settings.verbose:
            trace(request, response, time.monotonic() - started)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> Problem:
        url = self.settings.url
        if isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout):
            reason = str(error) or "no answer"
            return Problem(f"cannot reach {url}: {reason} (is the service running? see: remora up)", "ConnectError")
        if isinstance(error, self._httpx.TimeoutException):
            return Problem(f"{url} has been silent for {SILENCE_SECONDS:.0f} s", "TimeoutError")
        return Problem(f"the connection to {url} broke: {error or type(error).__name__}", "ConnectionError")


def json_of(reply: httpx.Response, text: bytes | None = None) -> Any:
    """The JSON of a reply, or of a line of it. Raises `Problem` if it is none: then this is no such service."""
    try:
        return json.loads(reply.content if text is None else text)
    except ValueError:
        raise Problem(f"{reply.request.url} did not answer as Manta does (is the URL right?)") from None


def tls(settings: Settings) -> ssl.SSLContext | bool:
    """What certificates to trust. Plain HTTP never looks, so it need not load the system's authorities."""
    return settings.url.startswith("https:") and not settings.insecure


def read_refusal(response: httpx.Response) -> Refused:
    """The error that a reply of status 400 or more stands for."""
    code = message = None
    try:
        text = b"".join(first_bytes(response, MAX_ERROR_BODY))
        record: Any = json.loads(text)
        code, message = str(record["code"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return refusal(response.status_code, code, message)


def first_bytes(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body, up to about `limit` bytes."""
    for chunk in response.iter_raw():
        yield chunk
        limit -= len(chunk)
        if limit <= 0:
            return


def trace(request: httpx.Request, response: httpx.Response, seconds: float) -> None:
    """A JSON line on stderr for each request (`--verbose`)."""
    record = {
        "method": request.method,
        "url": str(request.url),
        "status": response.status_code,
        "request_id": request.headers.get("x-request-id"),
        "ms": round(seconds * 1000, 1),
    }
    print(json.dumps(record), file=sys.stderr, flush=True)
