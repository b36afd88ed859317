"""One plain connection: a request goes out, a small reply comes back, and the connection is kept.

Most commands ask one or two small questions, and are over before a full HTTP client would have
been imported (`docs/decisions`: a command's first connection is plain). So a session asks over
these: a socket, one exchange at a time, bodies and replies that fit into memory. Whatever streams
goes through `pool` instead.

What it keeps to is what `session` promises: a connection that cannot be made is tried three more
times; a kept connection that the service has closed meanwhile is noticed before anything is sent
over it; a GET or HEAD that meets the end of a kept connection all the same is sent once more,
nothing else is. After any trouble the connection is dropped, never used half-read.

Example: `HEAD /jill/stor` and `GET /jill/stor?limit=1024` of `mls` are two exchanges on one `ServiceConnection`.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from cli.client.problem import broken, silent, unreachable
from cli.client.transport.proxy import Proxy, proxy_for

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS = 4.0
HASTY_SECONDS = 1.0
SILENCE_SECONDS = 120.0  # the service itself gives up on a silent transfer sooner
DELAYS = (0.0, 0.5, 1.0)  # before each further try to connect
REPEATABLE = ("GET", "HEAD")
SWITCHED = 101
PORTS = {"http": 80, "https": 443}
MAX_LINE = 64 * 1024
MAX_HEADERS = 256


class Reply(NamedTuple):
    """A reply of the service at `url`, read whole. Header names are lower-case."""

    url: str
    status_code: int
    reason_phrase: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


class ProtocolError(OSError):
    """What came is no HTTP/1.1 reply."""


class ServiceConnection:
    """A connection to the service at `url`; `trust` is what TLS believes, for https. One thread at a time.

    By a proxy, which the environment names, https goes through a tunnel, and http names the service in each request.
    Without `patience` it is tried once: a shell that completes a word does not wait.
    """

    def __init__(self, url: str, trust: ssl.SSLContext | None, *, patience: bool = True) -> None:
        parts = urlsplit(url)
        self._url = url
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._proxy = proxy = proxy_for(url, os.environ)
        host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
        # Of text Python makes a domain name, and imports what that takes.
        self._address: Any = (host.encode() if host.isascii() else host, port)
        self._delays = DELAYS if patience else ()
        self._seconds = CONNECT_SECONDS if patience else HASTY_SECONDS
        self._authority = parts.netloc.rpartition("@")[2]
        self._trust = trust
        self._socket: socket.socket | None = None
        self._replies: BinaryIO | None = None

    def close(self) -> None:
        if self._replies:
            self._replies.close()
        if self._socket:
            self._socket.close()
        self._socket = self._replies = None

    def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """Send one request and read its reply, whatever its status. Raises `Problem`."""
        kept = self._is_alive()
        try:
            return self._once(method, target, headers, body)
        except TimeoutError:
            raise silent(self._url, SILENCE_SECONDS) from None
        except OSError as error:
            if not kept or method not in REPEATABLE:
                raise broken(self._url, str(error)) from error
        try:
            return self._once(method, target, headers, body)
        except OSError as error:
            raise broken(self._url, str(error)) from error

    def upgrade(self, target: str, headers: Mapping[str, str]) -> socket.socket | Reply:
        """Send a GET that asks for another protocol: the socket, which is the caller's now, or a refusal.

        Raises `Problem`.
        """
        try:
            sock = self._connect()
            self._send("GET", target, headers, None)
            with sock.makefile("rb", buffering=0) as replies:  # so that nothing is read beyond the head
                status, reason, received = read_head(replies)  # type: ignore[arg-type]
                if status != SWITCHED:
                    content = b"".join(read_body(replies, received))  # type: ignore[arg-type]
                    return Reply(self._url, status, reason, received, content)
        except OSError as error:
            self.close()
            raise broken(self._url, str(error)) from error
        self._socket = self._replies = None
        return sock

    def _is_alive(self) -> bool:
        """Whether there is a kept connection; one with something to read has been closed by the service."""
        if self._socket:
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            if waiting.poll(0):
                self.close()
        return self._socket is not None

    def _once(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        if self._socket is None:
            self._connect()
        try:
            self._send(method, target, headers, body)
            return self._read(method)
        except BaseException:
            self.close()
            raise

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> None:
        assert self._socket
        if self._proxy and not self._trust:
            target, headers = f"http://{self._authority}{target}", {**headers, **self._proxy.headers}
        self._socket.sendall(head(method, target, {"host": self._authority, **headers}, body) + (body or b""))

    def _connect(self) -> socket.socket:
        sock = self._reach()
        if self._trust:
            try:
                if self._proxy:
                    self._tunnel(sock, self._proxy)
                sock = self._trust.wrap_socket(sock, server_hostname=self._host)
            except OSError as error:
                sock.close()
                raise unreachable(self._url, str(error)) from error
        sock.settimeout(SILENCE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._replies = sock, sock.makefile("rb")
        return sock

    def _tunnel(self, sock: socket.socket, proxy: Proxy) -> None:
        """Let the proxy connect us to the service. Raises `OSError`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        name = f"{host}:{self._port}"
        sock.sendall(head("CONNECT", name, {"host": name, **proxy.headers}, None))
        with sock.makefile("rb") as replies:
            status, reason, _ = read_head(replies)
        if status != 200:
            raise ProtocolError(f"the proxy {proxy.url} answered {status} {reason}")

    def _reach(self) -> socket.socket:
        for delay in self._delays:
            try:
                return socket.create_connection(self._address, self._seconds)
            except OSError:
                time.sleep(delay)
        try:
            return socket.create_connection(self._address, self._seconds)
        except OSError as error:
            by = f" by the proxy {self._proxy.url}" if self._proxy else ""
            raise unreachable(self._url + by, str(error)) from error

    def _read(self, method: str) -> Reply:
        assert self._replies
        status, reason, headers = read_head(self._replies)
        while 100 <= status < 200:
            status, reason, headers = read_head(self._replies)
        bodiless = method == "HEAD" or status in (204, 304)
        content = b"" if bodiless else b"".join(read_body(self._replies, headers))
        if headers.get("connection", "").lower() == "close" or not (bodiless or is_framed(headers)):
            self.close()
        return Reply(self._url, status, reason, headers, content)


def head(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Request line and headers. Their values have been checked (`session`): none holds a line's end."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode()


def read_head(replies: BinaryIO) -> tuple[int, str, dict[str, str]]:
    """Status, reason and headers of a reply."""
    version, _, rest = read_line(replies).partition(" ")
    status, _, reason = rest.partition(" ")
    if version != "HTTP/1.1" or not (len(status) == 3 and status.isdigit()):
        raise ProtocolError("what came is no HTTP/1.1 reply")
    headers: dict[str, str] = {}
    while line := read_line(replies):
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if len(headers) > MAX_HEADERS:
            raise ProtocolError(f"a reply has more than {MAX_HEADERS} headers")
    return int(status), reason, headers


def read_line(replies: BinaryIO) -> str:
    """A line without its end. Headers are UTF-8 here, as metadata of users often is; else Latin-1."""
    line = replies.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise ProtocolError(f"a line is longer than {MAX_LINE} bytes" if line[MAX_LINE - 1 :] else "no reply came")
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return line.rstrip(b"\r\n").decode("latin-1")


def is_framed(headers: Mapping[str, str]) -> bool:
    """Whether a body says where it ends; otherwise the end of the connection does."""
    return "content-length" in headers or "transfer-encoding" in headers


def read_body(replies: BinaryIO, headers: Mapping[str, str]) -> Iterator[bytes]:
    """The pieces of a body. Raises `OSError` if it ends too soon."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := number(read_line(replies).partition(";")[0].strip(), 16):
            yield exactly(replies, size)
            read_line(replies)
        while read_line(replies):
            continue  # trailers
    elif "content-length" in headers:
        yield exactly(replies, number(headers["content-length"], 10))
    else:
        yield replies.read()


def number(digits: str, base: int) -> int:
    if not digits.isalnum():  # int() would take signs, blanks and underscores
        raise ProtocolError(f"{digits!r} is not the length of a body")
    try:
        return int(digits, base)
    except ValueError:
        raise ProtocolError(f"{digits!r} is not the length of a body") from None


def exactly(replies: BinaryIO, size: int) -> bytes:
    data = replies.read(size)
    if len(data) != size:
        raise ProtocolError(f"a body ended after {len(data)} of {size} bytes")
    return data
