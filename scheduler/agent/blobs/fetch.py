"""The client that fetches intermediates from the agents of other nodes.

A blob on another node is read from a socket. The header of the answer is peeked at (`MSG_PEEK`) and
then read exactly to its end: the rest of the socket's bytes are the blob, and can be spliced into a
reducer's pipe without passing through our memory. With TLS the bytes have to be decrypted here: a
thread does that, into a pipe that feeds the reducer's.

A peer is another machine, or an impostor: its header is accepted only if it promises exactly the
bytes that were requested, and no more than these are read. A peer may fall silent (after
`SILENCE_SECONDS` its socket gives an error), be cut off, or be restarted. So a `ResumingRead` repeats
the request from the byte that was reached, until nothing has come for `PATIENCE_SECONDS`. Only the
answer that the peer does not have the blob is final at once, and the news that its node is lost.

Bytes are compressed for distant peers only (`FAR_US`): between neighbours the network is faster
than the compression, and compressed bytes cannot be spliced.

Example: 400 of 1000 MB are in the pipe when the other node's agent is killed. Its lease holds, it
is started again 3 s later, and the request for `bytes=400000000-` is answered.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol, cast
from urllib.parse import SplitResult, urlsplit

from datapath.feed import PIPE_BYTES
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.transport import ANYWHERE, Reach
from scheduler.common.backoff import Backoff
from scheduler.model.wire import BlobRef

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

Unpacking = () if zstandard is None else zstandard.ZstdError
CONNECT_SECONDS = 1.5  # of one try: between two of them it is asked whether the node is lost
SILENCE_SECONDS = 3.0
# Together hardly longer than an agent's lease (`wire.LEASE_SECONDS`): the bytes of a node are expected as long as the
# node counts as alive. Not more, because a reader that waits for a lost node delays the recomputation of its bytes.
PATIENCE_SECONDS = 7.5
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
MAX_FRUITLESS = 3
# Keep-alive of a connection from which we do not read at the moment: idle seconds, interval, number of probes.
PROBE_AFTER, PROBE_EVERY, PROBES = 4, 2, 3
MAX_HEAD = 16 * 1024
SMALL = 1 << 20  # too small to compress
FAR_US = 1000
RTT = struct.Struct("=68xI")  # of struct tcp_info: the smoothed time of a round trip, in microseconds
CHUNK = 256 * 1024
MAX_WINDOW = 8 << 20
STATUS = re.compile(r"HTTP/1\.[01] (\d{3})(?: |\Z)")
NOT_THERE = (403, 404, 410)
PORTS = {"http": 80, "https": 443}
SILENT = (BlockingIOError, TimeoutError)


class BlobGoneError(Exception):
    """The peer does not have the blob, or no longer knows us: a retry is useless."""


class PeerError(OSError):
    """A transient failure of a peer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A socket whose next byte is the first that was requested."""

    socket: socket.socket
    squeezed: bool
    size: int  # of all that was requested, were it from its beginning on

    @property
    def is_bare(self) -> bool:
        """Whether the socket carries the blob's bytes unchanged."""
        return not self.squeezed and not isinstance(self.socket, ssl.SSLSocket)


def ask(
    blob: BlobRef,
    offset: int,
    seconds: float,
    reach: Reach = ANYWHERE,
    part: int | None = None,
    size: int | None = None,
) -> Answer:
    """Request a blob from an offset on; the answer must begin within `seconds`. Raises BlobGoneError, OSError.

    `part`: only that partition of a shuffle file is wanted, which has `size` bytes, if that is known.
    """
    if blob.source is None or not blob.source.startswith(("http://", "https://")):
        raise BlobGoneError(f"no address of node {blob.node} is known")
    if blob.node in reach.lost:
        raise BlobGoneError(f"node {blob.node} is lost")
    url = urlsplit(blob.source)
    until = time.monotonic() + seconds
    peer = connect(url, seconds, reach)
    try:
        be_patient(peer, until - time.monotonic())
        squeezable = zstandard is not None and blob.size - offset > SMALL and is_far(peer)
        # 1.0: one answer, not chunked, and then the connection ends
        if part is not None:
            peer.sendall(request(url._replace(query=f"{url.query}&part={part}"), "1.0", offset))
            size, squeezed = judge_part(read_head(peer), blob.size, offset, size), False
        else:
            peer.sendall(request(url, "1.0", offset, *(["Accept-Encoding: zstd"] if squeezable else [])))
            size, squeezed = blob.size, judge(read_head(peer), blob.size, offset, squeezable)
        be_patient(peer, SILENCE_SECONDS)
        return Answer(peer, squeezed, size)
    except BaseException:
        peer.close()
        raise


def connect(url: SplitResult, seconds: float, reach: Reach = ANYWHERE) -> socket.socket:
    """A connected socket that blocks for at most `SILENCE_SECONDS`, and notices when its peer is gone.

    Raises BlobGoneError for an address that may not be reached, OSError.
    """
    if why := reach.refuses(f"{url.scheme}://{url.netloc}"):
        raise BlobGoneError(why)
    if url.scheme == "https" and reach.fetching is None:
        raise BlobGoneError(f"{url.netloc} asks for a certificate, and this node has none (--tls-cert)")
    peer = socket.create_connection((url.hostname or "", url.port or PORTS[url.scheme]), min(seconds, CONNECT_SECONDS))
    try:
        be_watchful(peer)
        if url.scheme == "https" and reach.fetching is not None:
            peer = reach.fetching.wrap_socket(peer, server_hostname=url.hostname)
        else:
            peer.settimeout(None)
        be_patient(peer, SILENCE_SECONDS)
    except BaseException:
        peer.close()
        raise
    return peer


def be_watchful(peer: socket.socket) -> None:
    """Set TCP keep-alive, so that the kernel notices that a peer is gone."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)


def request(url: SplitResult, version: str, offset: int, *more: str) -> bytes:
    lines = [f"GET {url.path}?{url.query} HTTP/{version}", f"Host: {url.netloc}", f"Range: bytes={offset}-", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def be_patient(peer: socket.socket, seconds: float) -> None:
    """Limit reads and writes to `seconds`, at most `SILENCE_SECONDS`: a peer that is silent for longer is an error."""
    if isinstance(peer, ssl.SSLSocket):  # an SSLSocket would retry after the socket's own timeout
        peer.settimeout(max(0.001, min(seconds, SILENCE_SECONDS)))
        return
    micros = max(1000, int(min(seconds, SILENCE_SECONDS) * 1e6))  # 0 would be for ever
    silence = struct.pack("@ll", *divmod(micros, 1_000_000))  # a struct timeval
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silence)


def is_far(peer: socket.socket) -> bool:
    """Whether a round trip takes as long as the way to another site."""
    try:
        (micros,) = RTT.unpack_from(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, RTT.size))
    except (OSError, struct.error):
        return False
    return bool(micros >= FAR_US)


def read_head(peer: socket.socket) -> bytes:
    """Read the header of the answer, and not one byte of what follows. Raises OSError."""
    head = b""
    until = time.monotonic() + SILENCE_SECONDS
    while True:
        seen = peer.recv(MAX_HEAD, socket.MSG_PEEK)
        end = (head + seen).find(b"\r\n\r\n")
        if not seen:
            raise PeerError("the peer hung up in its header")
        take = len(seen) if end < 0 else end + 4 - len(head)
        head += peer.recv(take)
        if end >= 0:
            return head
        if len(head) > MAX_HEAD or time.monotonic() > until:
            raise PeerError("the peer's header does not end")


def judge(head: bytes, size: int, offset: int, squeezable: bool) -> bool:
    """Whether the answer is compressed. Raises BlobGoneError, and PeerError unless it is exactly what was requested."""
    status, headers = parsed(head)
    encoding = headers.get("content-encoding", "identity")
    told = (status, headers.get("content-range"), headers.get("transfer-encoding"), encoding)
    if told == ("206", f"bytes {offset}-{size - 1}/{size}", None, "zstd") and squeezable:
        return True
    wanted = ("206", f"bytes {offset}-{size - 1}/{size}", None, "identity")
    if told != wanted or headers.get("content-length") != str(size - offset):
        raise PeerError(f"the peer answered {status}, and not with {size - offset} bytes from {offset} on")
    return False


def judge_part(head: bytes, most: int, offset: int, size: int | None) -> int:
    """The size of a partition, from the answer to a request for it. Raises BlobGoneError, PeerError.

    It is at most that of its file, and the same in each answer (`size`, once it is known).
    """
    status, headers = parsed(head)
    told = headers.get("content-length", "")
    if status != "200" or not (told.isascii() and told.isdigit()) or "transfer-encoding" in headers:
        raise PeerError(f"the peer answered {status}, and not with a partition")
    found = offset + int(told[:19])
    if found > most or (size is not None and found != size):
        raise PeerError(f"the peer says that a partition has {found} bytes")
    return found


def parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """The status and the headers of an answer. Raises BlobGoneError, and PeerError if it is no HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    status = STATUS.match(lines[0])
    if status is None:
        raise PeerError("the peer does not speak HTTP")
    if int(status[1]) in NOT_THERE:
        raise BlobGoneError(f"the peer answered {status[1]}")
    return status[1], {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }


class ResumingRead:
    """All tries to get one blob, or a partition of it, from another node. `stopped`: it is not needed any more."""

    def __init__(
        self,
        blob: BlobRef,
        traffic: Traffic,
        stopped: threading.Event,
        reach: Reach = ANYWHERE,
        part: int | None = None,
    ) -> None:
        self.blob = blob
        self._part = part
        self._size = blob.size if part is None else None
        self._reach = reach
        self._traffic = traffic
        self._stopped = stopped
        self._reached = -1  # the offset of the last request
        self._fruitless = 0  # answers to it without a byte
        traffic.fetched += self._size or 0

    @property
    def size(self) -> int:
        """The bytes that are read; those of a partition are known once it is open."""
        assert self._size is not None
        return self._size

    def open(self, offset: int) -> Answer:
        """Request the rest from `offset` on, and retry while that may help. Raises BlobGoneError, OSError."""
        if offset > self._reached:
            self._traffic.resumed += self._reached >= 0
            self._reached, self._fruitless = offset, 0
        if self._fruitless > MAX_FRUITLESS:
            raise PeerError("the peer answers, and gives nothing")
        self._wait(self._fruitless * LONGEST_PAUSE)
        self._fruitless += 1
        backoff, until = Backoff(FIRST_PAUSE, LONGEST_PAUSE), time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = ask(self.blob, offset, until - time.monotonic(), self._reach, self._part, self._size)
                if self._size is None:
                    self._size = answer.size
                    self._traffic.fetched += answer.size
                return answer
            except OSError as error:
                if time.monotonic() + 2 * backoff.pause > until:
                    raise PeerError("the peer is silent") if isinstance(error, SILENT) else error from None
            self._wait(backoff.next())

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise PeerError("the transfer was cancelled")


def stream(answer: Answer, size: int) -> int:
    """A descriptor of the `size` bytes of an answer: the socket itself, or a pipe into which a thread decodes them."""
    if answer.is_bare:
        return answer.socket.detach()
    try:
        reading, writing = os.pipe2(os.O_CLOEXEC)
    except OSError:
        answer.socket.close()
        raise
    with contextlib.suppress(OSError):  # the pipe may exceed the user's limit
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def unpack() -> None:
        """Decode the answer into the pipe. After an error the reader finds an early end, and retries."""
        with answer.socket, open(writing, "wb", buffering=0), contextlib.suppress(OSError):
            for piece in pieces(answer, size):
                write(writing, piece)

    threading.Thread(target=unpack, name="unpack", daemon=True).start()
    return reading


class Readable(Protocol):
    """An object with a `read` method, as zstandard expects it."""

    def read(self, most: int, /) -> bytes: ...


class Incoming:
    """The bytes of a socket as a readable object for zstandard."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def read(self, most: int, /) -> bytes:
        """Some bytes, or none at the end. Raises PeerError."""
        try:
            return self._peer.recv(most)
        except OSError as error:
            raise PeerError(error.errno, f"the connection broke: {error.strerror}") from None


def pieces(answer: Answer, size: int) -> Iterator[bytes]:
    """The bytes of an answer, `size` at most; fewer if it ends early. Raises PeerError."""
    source: Readable = Incoming(answer.socket)
    if answer.squeezed:  # read with a limit, since some KiB may decompress to gigabytes
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        source = unpacker.stream_reader(cast("IO[bytes]", source), read_size=CHUNK)
    while size > 0:
        try:
            piece = source.read(min(CHUNK, size))
        except Unpacking as error:
            raise PeerError(f"what the peer sent is no zstd: {error}") from None
        if not piece:
            return
        yield piece
        size -= len(piece)


def fetch(blob: BlobRef, fd: int, traffic: Traffic, stopped: threading.Event, reach: Reach = ANYWHERE) -> None:
    """Write a whole blob into a file. Raises BlobGoneError, OSError."""
    pursuit = ResumingRead(blob, traffic, stopped, reach)
    done = 0
    while done < blob.size:
        answer = pursuit.open(done)
        with answer.socket, contextlib.suppress(PeerError):
            for piece in pieces(answer, blob.size - done):
                write(fd, piece)
                done += len(piece)
                if stopped.is_set():
                    break


def write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]
