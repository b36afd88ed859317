"""Bodies of any size, over kept connections: httpx.

This is for transfers that stream. To import httpx takes longer than all else that a small command
does, so that happens when the first of these comes (see `connection`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.client.problem import Problem, broken, silent, unreachable
from cli.client.transport.connection import CONNECT_SECONDS, DELAYS, REPEATABLE, SILENCE_SECONDS
from cli.client.transport.proxy import proxy_for

if TYPE_CHECKING:
    import ssl

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command-line program, 35 ms of imports
import httpx  # noqa: E402

KEPT = 64  # idle connections
Body = bytes | Iterable[bytes]


class ConnectionPool:
    """Connections to the service at `url`, for any number of threads."""

    def __init__(self, url: str, trust: ssl.SSLContext | None) -> None:
        proxy = proxy_for(url, os.environ)
        self._url = httpx.URL(url)
        self._tunnel = proxy is not None and trust is not None
        # What the request line begins with: a proxy for plain HTTP wants to know the service.
        self._named = "http://" + urlsplit(url).netloc.rpartition("@")[2] if proxy and not trust else ""
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(
                verify=trust or False,  # False: plain HTTP, nothing to verify
                proxy=httpx.Proxy(proxy.url, headers=proxy.headers) if proxy else None,
                retries=len(DELAYS),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT),
            ),
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=None),
        )

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: Body | None
    ) -> Iterator[httpx.Response]:
        """Send one request; the reply whatever its status, its body unread. Raises `Problem`."""
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            request = self._http.build_request(
                method, self._address(target), headers=encoded, content=body, extensions=self._extensions(target)
            )
            response = self._send(request)
            try:
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise self._problem(error) from error

    def _address(self, target: str) -> httpx.URL:
        return self._url.copy_with(raw_path=target.encode()) if self._tunnel else self._url

    def _extensions(self, target: str) -> dict[str, bytes]:
        """The target is the one that was signed: httpx must not put it into a form of its own.

        In a tunnel it would be that of the CONNECT as well, so there the URL has it, which is encoded already.
        """
        return {} if self._tunnel else {"target": (self._named + target).encode()}

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request, stream=True)
        except httpx.RemoteProtocolError:
            if request.method not in REPEATABLE:
                raise
            return self._http.send(request, stream=True)

    def _problem(self, error: httpx.HTTPError) -> Problem:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return unreachable(str(self._url), str(error))
        if isinstance(error, httpx.TimeoutException):
            return silent(str(self._url), SILENCE_SECONDS)
        return broken(str(self._url), str(error) or type(error).__name__)
