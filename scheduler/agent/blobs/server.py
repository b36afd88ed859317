"""The server of this node's intermediates, for the agents of other nodes: `GET
/blobs/ID?for=NODE&ticket=TICKET`.

A reader with the blob's ticket for its node (`credentials.tickets`), if that node is not revoked, gets the bytes, by
sendfile, all or from an offset on (`Range`): a reader that lost its connection resumes where it was. A client
without a ticket gets the same answer to every request, so that it does not learn what is here, and its connection
is closed. 404 is for readers with a ticket only, and means that the bytes are gone for good.

Connections are bounded, in all and per peer, and one that sends no request within 10 s is closed
(`http.limits`). A ticket proves that its bearer is a node of the cluster: it moves the connection
into a reserve that strangers cannot fill.

The server runs in a thread with an event loop of its own: reading a file that is no longer in
memory would otherwise delay every task of this node, and here it delays only the readers.

A range refers to the blob's own bytes, whatever their content encoding. zstd is for readers that
ask for it, because they are far away (`fetch` says when): neighbouring nodes send a byte faster
than one core compresses it (`docs/decisions/0016`). It is used only for bytes that shrink, which is
tried with the first `SAMPLE` bytes.

`part=N` asks for one partition of a shuffle file, whose extents are sent in their order; a range counts in these.
They are read by a thread, because there are many small ones.

With TLS, a reader must also present the certificate of an agent.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from aiohttp import web

from datapath import shuffle_file
from datapath.shuffle_file import Extent, NotAShuffleFileError
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.http.limits import FIRST_REQUEST_SECONDS, Bounds, ConnectionLimits, LimitedHandler
from scheduler.model.credentials.tickets import PATH, opens
from scheduler.model.ids import is_id
from scheduler.objects.blobs import BlobStore
from scheduler.tls.names import AGENT, comes_from

try:
    import zstandard
except ImportError:  # installed with what clusters need; without it, bytes travel uncompressed
    zstandard = None  # type: ignore[assignment]

log = logging.getLogger("remora.agent")
IDLE_SECONDS = 30.0  # a connection may be idle between two requests
END_SECONDS = 0.1  # for connections that are still sending (0 would be for ever)
SAMPLE = 256 * 1024
WORTHWHILE = 0.6  # of its size
SMALL = 1 << 20  # too small to try
CHUNK = 1 << 20
LEVEL = 1
LITTLE = 128 * 1024
FROM_BYTE = re.compile(r"bytes=(\d{1,18})-", re.ASCII)
SQUEEZERS = 2
QUIET: dict[str, Any] = {"access_log": None, "keepalive_timeout": IDLE_SECONDS}


class Limits(NamedTuple):
    """Bounds on connections. `first_request_seconds`: the time that a new one has for its first request."""

    bounds: Bounds = Bounds(total=1024, per_peer=256, reserve=1024)
    first_request_seconds: float = FIRST_REQUEST_SECONDS


LIMITS = Limits()


class BlobServer:
    """The server of one agent; `key` is the key of its tickets."""

    def __init__(self, blobs: BlobStore, key: str, traffic: Traffic, limits: Limits = LIMITS) -> None:
        self._blobs = blobs
        self._limits = limits
        self._key = key
        self._traffic = traffic
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._running = threading.Event()
        self._squeezing = 0
        self.revoked: frozenset[str] = frozenset()  # nodes that are no longer served

    def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen and serve from now on; returns the port, a free one if `port` is 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=128)
        bound: int = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, tls)), name="exchange", daemon=True
        )
        self._thread.start()
        self._running.wait()
        return bound

    def close(self) -> None:
        """Stop at once, also in the middle of a transfer."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = self._loop = asyncio.get_running_loop()
        server = web.Server(self._handle)
        limits = ConnectionLimits(*self._limits)

        def accept() -> asyncio.Protocol:
            return LimitedHandler(server, limits=limits, loop=loop, **QUIET)

        patience = self._limits.first_request_seconds if tls else None
        listening = await loop.create_server(
            accept, sock=limits.listener(listener), ssl=tls, ssl_handshake_timeout=patience
        )
        self._running.set()
        try:
            await self._stop.wait()
        finally:
            listening.close()
            await server.shutdown(END_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        blob = request.raw_path.partition("?")[0].removeprefix(PATH)
        known = request.method in ("GET", "HEAD") and is_id(blob)
        reader = request.query.get("for", "")
        if (
            not known
            or reader in self.revoked
            or not comes_from(request.transport, AGENT)
            or not opens(self._key, blob, reader, request.query.get("ticket", ""))
        ):
            refusal = web.Response(status=403, text="this takes a ticket\n")
            refusal.force_close()
            return refusal
        trust(request)
        if "part" in request.query:
            return await self._partition(request, blob, request.query["part"])
        try:
            reply: web.StreamResponse | None = self._little(request, blob)
        except BlockingIOError:
            return web.Response(status=503, text="a task holds a lease on it\n")
        if (
            reply is None
            and zstandard is not None
            and "zstd" in request.headers.get("Accept-Encoding", "")
            and request.method == "GET"
        ):
            reply = await self._squeezed(request, blob)
        return reply or Whole(self._blobs.path(blob), self._traffic)

    def _little(self, request: web.BaseRequest, blob: str) -> web.Response | None:
        """The answer with a small blob, which is read faster than a thread could be asked to; None for any other."""
        asked = FROM_BYTE.fullmatch(request.headers.get("Range", "bytes=0-"))
        try:
            fd = self._blobs.open(blob)
        except BlockingIOError:
            raise
        except OSError:
            return None
        try:
            size, start = os.fstat(fd).st_size, int(asked[1]) if asked else 0
            if size > LITTLE or start >= size or asked is None or request.method != "GET":
                return None
            body = os.pread(fd, size - start, start)
        finally:
            os.close(fd)
        self._traffic.served += len(body)
        if "Range" not in request.headers:
            return web.Response(body=body)
        return web.Response(status=206, body=body, headers={"Content-Range": f"bytes {start}-{size - 1}/{size}"})

    async def _partition(self, request: web.BaseRequest, blob: str, part: str) -> web.StreamResponse:
        """Send a partition of a shuffle file, all or from an offset on."""
        asked = FROM_BYTE.fullmatch(request.headers.get("Range", "bytes=0-"))
        number = int(part) if part.isascii() and part.isdigit() and len(part) < 10 else -1
        try:
            fd = self._blobs.open(blob)
        except BlockingIOError:
            return web.Response(status=503, text="a task holds a lease on it\n")
        except OSError:
            return web.Response(status=404, text="there is no such blob\n")
        try:
            try:
                extents = await asyncio.to_thread(shuffle_file.find, fd, number)
            except (NotAShuffleFileError, OSError) as error:
                return web.Response(status=404, text=f"there is no such partition: {error}\n")
            left = list(beyond(extents, int(asked[1]) if asked else 0))
            reply = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            reply.content_length = sum(extent.length for extent in left)
            await reply.prepare(request)
            for batch in batches(left) if request.method == "GET" else ():
                await reply.write(await asyncio.to_thread(read_all, fd, batch))
        finally:
            os.close(fd)
        self._traffic.served += reply.content_length
        await reply.write_eof()
        return reply

    async def _squeezed(self, request: web.BaseRequest, blob: str) -> web.StreamResponse | None:
        """Send the blob compressed by zstd, if that pays; None if it is to be sent uncompressed."""
        try:
            start = request.http_range.start or 0
            file = await asyncio.to_thread(open, self._blobs.path(blob), "rb")
        except (ValueError, OSError):
            return None  # the uncompressed path reports what is wrong
        try:
            size = file.seek(0, 2)
            if start < 0 or size - start <= SMALL or self._squeezing >= SQUEEZERS:
                return None
            self._squeezing += 1
            try:
                if await asyncio.to_thread(shrinks_to, file, start) < WORTHWHILE:
                    return await self._send_squeezed(request, file, start, size)
            finally:
                self._squeezing -= 1
        finally:
            file.close()
        return None

    async def _send_squeezed(
        self, request: web.BaseRequest, file: BinaryIO, start: int, size: int
    ) -> web.StreamResponse:
        headers = {"Content-Encoding": "zstd", "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        reply = web.StreamResponse(status=206, headers=headers)
        reply.content_type = "application/octet-stream"
        await reply.prepare(request)
        file.seek(start)
        squeezer = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        left = size - start
        while left > 0:
            piece = await asyncio.to_thread(lambda: squeezer.compress(file.read(CHUNK)))
            left -= CHUNK
            if piece:
                await reply.write(piece)
        await reply.write(squeezer.flush())
        self._traffic.served += size - start
        self._traffic.squeezed += size - start
        await reply.write_eof()
        return reply


class Whole(web.FileResponse):
    """A file, or the requested range of it; counted when it was sent."""

    def __init__(self, path: Path, traffic: Traffic) -> None:
        super().__init__(path, headers={"Content-Type": "application/octet-stream"})
        self._traffic = traffic

    async def _sendfile(self, request, fobj, offset, count):  # type: ignore[no-untyped-def]
        """Send a file, by TLS in larger pieces than asyncio does: it hands a thread 16 KiB at a time."""
        if request.transport is None or request.transport.get_extra_info("ssl_object") is None:
            return await super()._sendfile(request, fobj, offset, count)
        writer = await web.StreamResponse.prepare(self, request)
        return await self._sendfile_fallback(writer, fobj, offset, count)  # type: ignore[arg-type]

    async def prepare(self, request: web.BaseRequest):  # type: ignore[no-untyped-def]
        writer = await super().prepare(request)
        if request.method == "GET" and self.status in (200, 206):
            self._traffic.served += self.content_length or 0
        return writer


def beyond(extents: Iterable[Extent], offset: int) -> Iterator[Extent]:
    """Extents without the first `offset` bytes of them all."""
    for extent in extents:
        skipped = min(offset, extent.length)
        offset -= skipped
        if skipped < extent.length:
            yield Extent(extent.at + skipped, extent.length - skipped, extent.lines)


def batches(extents: Iterable[Extent]) -> Iterator[Sequence[Extent]]:
    """Extents in batches of at most about `CHUNK` bytes; larger ones are divided."""
    batch: list[Extent] = []
    size = 0
    for extent in extents:
        for at in range(extent.at, extent.at + extent.length, CHUNK):
            piece = Extent(at, min(CHUNK, extent.at + extent.length - at), 0)
            if size + piece.length > CHUNK and batch:
                yield batch
                batch, size = [], 0
            batch.append(piece)
            size += piece.length
    if batch:
        yield batch


def read_all(fd: int, extents: Sequence[Extent]) -> bytes:
    """The bytes of some extents. Raises OSError."""
    found = b"".join(os.pread(fd, extent.length, extent.at) for extent in extents)
    if len(found) != sum(extent.length for extent in extents):
        raise OSError(errno.ENODATA, "the file is shorter than its index says")
    return found


def trust(request: web.BaseRequest) -> None:
    """Mark the connection as that of another node: it has presented a ticket."""
    connection = request.protocol
    if isinstance(connection, LimitedHandler) and connection.limits is not None and connection.accepted is not None:
        connection.limits.trust(connection.accepted)


def shrinks_to(file: BinaryIO, start: int) -> float:
    """The compressed size of a sample of the file, as a share of its size."""
    file.seek(start)
    sample = file.read(SAMPLE)
    return len(zstandard.ZstdCompressor(level=LEVEL).compress(sample)) / max(1, len(sample))


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """The URL at which other nodes reach a server that listens on one address."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def ticket_key(path: Path) -> str:
    """The key of this node's tickets, made when it is first needed. Raises OSError.

    It is kept, so that an agent that is started again serves readers that were told of its blobs before.
    """
    try:
        return path.read_text().strip() or new_key(path)
    except FileNotFoundError:
        return new_key(path)


def new_key(path: Path) -> str:
    """Make a key and store it, readable only by its owner."""
    key = secrets.token_hex(32)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(key + "\n")
    fresh.rename(path)
    return key
