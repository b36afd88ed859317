"""HTTP/1.1 by hand: bytes as they are, and replies that must be well-formed.

A client library refuses to send what a hostile client sends, and forgives what a sloppy server
answers. So requests are bytes here, and a reply is read by the letter: a status line, header
lines without control characters, one way to tell where the body ends, and for every error
exactly `{"code": …, "message": …}`.

    Door(port).ask(b"GET /ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")     a whole request: exactly one reply
    Door(port).throw(b"junk")                                     anything: what comes, until the other side closes
"""

from __future__ import annotations

import json
import re
import select
import socket
from dataclasses import dataclass

PATIENCE = 20.0
HASTE = 0.05
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3}) [\x20-\x7e]*\Z")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
# Errors above 499 that the documentation knows.
DOCUMENTED = {(501, "NotImplemented"), (503, "ServiceUnavailable"), (507, "NotEnoughSpace")}
WITHOUT_BODY = (204, 304)


class MalformedError(AssertionError):
    """The other side sent what is no reply."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return json.loads(self.body)["code"] if self.body else ""

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Door:
    """One port of loopback, and a connection that is kept where the replies allow it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._kept: Stream | None = None

    def ask(self, request: bytes, *, keep: bool = True) -> Reply:
        """The reply to a whole request. Raises MalformedError when there is none, or not a good one."""
        stream = self._kept or Stream.to(self._port)
        self._kept = None
        stream.send(request)
        head = request.startswith(b"HEAD ")
        reply = stream.reply(head=head)
        check(reply, head=head)
        if keep and not reply.closes:
            self._kept = stream
        else:
            stream.close()
        return reply

    def throw(self, data: bytes) -> list[Reply]:
        """Send bytes, say that there are no more, and read replies (to no HEAD) until the other side closes.

        What is said at once to what is a request is heard before we say so: who says it too early gets no reply.
        """
        stream = Stream.to(self._port)
        try:
            stream.send(data)
            stream.listen(HASTE)
            stream.end()
            replies = []
            while not stream.over():
                reply = stream.reply()
                check(reply)
                replies.append(reply)
            return replies
        finally:
            stream.close()

    def close(self) -> None:
        if self._kept:
            self._kept.close()
            self._kept = None


class Stream:
    """A connection, and what has arrived on it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._arrived = b""

    @classmethod
    def of(cls, data: bytes) -> Stream:
        """What has been read already."""
        ours, theirs = socket.socketpair()
        with theirs:
            stream = cls(ours)
            stream._arrived = data
        return stream

    @classmethod
    def to(cls, port: int) -> Stream:
        return cls(socket.create_connection(("127.0.0.1", port), PATIENCE))

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # refused before it was read to its end: the reply may be there all the same

    def end(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has closed already

    def listen(self, seconds: float) -> None:
        """Wait so long for the first word."""
        select.select([self._socket], [], [], seconds)

    def close(self) -> None:
        self._socket.close()

    def over(self) -> bool:
        return not self._arrived and not self._more()

    def reply(self, *, head: bool = False) -> Reply:
        """The next reply, after any `100 Continue`; `head`: it answers a HEAD."""
        status, headers = self._head()
        while status == 100:
            status, headers = self._head()
        return Reply(status, headers, b"" if head else self._body(status, headers))

    def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        match = STATUS_LINE.match(first)
        if match is None:
            raise MalformedError(f"no status line: {first!r}")
        # The older version closes, unless it says otherwise.
        headers: dict[str, str] = {} if match[1] == b"1" else {"connection": "close"}
        for line in lines:
            found = HEADER_LINE.match(line)
            if found is None:
                raise MalformedError(f"no header line: {line!r}")
            headers[found[1].decode().lower()] = found[2].decode("latin-1")
        return int(match[2]), headers

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if length is not None and coding is not None:
            raise MalformedError(f"two ends of one body: {headers}")
        if status in WITHOUT_BODY:
            return b""
        if length is not None:
            return self._exactly(int(length))
        if coding == "chunked":
            return self._chunks()
        raise MalformedError(f"nobody can tell where the body of this {status} ends: {headers}")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._until(b"\r\n")
        self._until(b"\r\n")
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._arrived:
            if not self._more():
                raise MalformedError(f"closed in the middle of {self._arrived[-500:]!r}")
        found, _, self._arrived = self._arrived.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._arrived) < size:
            if not self._more():
                raise MalformedError(f"{size - len(self._arrived)} bytes of the body are missing")
        found, self._arrived = self._arrived[:size], self._arrived[size:]
        return found

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            return False
        except TimeoutError:
            raise MalformedError(f"silence for {PATIENCE} s after {self._arrived[-500:]!r}") from None
        self._arrived += data
        return bool(data)


def check(reply: Reply, *, head: bool = False) -> None:
    """Is it a reply as the documentation promises them all to be?"""
    if reply.status < 200:
        raise MalformedError(f"an answer of {reply.status}")
    if reply.headers.get("server") != "Manta":
        raise MalformedError(f"from somebody else: {reply}")
    if reply.status < 400:
        return
    if not head:
        check_error(reply)
    elif reply.status >= 500 and reply.status not in {status for status, _ in DOCUMENTED}:
        raise MalformedError(f"undocumented: {reply}")


def check_error(reply: Reply) -> None:
    try:
        said = json.loads(reply.body)
    except ValueError:
        raise MalformedError(f"an error that is no JSON: {reply}") from None
    if not isinstance(said, dict) or list(said) != ["code", "message"] or not all(said.values()):
        raise MalformedError(f"an error of another form: {reply}")
    if not reply.headers.get("content-type", "").startswith("application/json"):
        raise MalformedError(f"an error of another type: {reply}")
    if reply.status >= 500 and (reply.status, said["code"]) not in DOCUMENTED:
        raise MalformedError(f"undocumented: {reply}")
