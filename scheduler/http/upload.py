"""Uploads: a request's body is received, hashed and written into a blob.

Three things take time with a large body: receiving it, hashing it (MD5 is the slowest by far),
writing it. They run concurrently: the event loop receives batches, and threads hash and write them,
each in order and neither waiting for the other. So a PUT takes as long as its slowest step and not
as long as their sum, and holds at most `DEPTH` batches in memory, however large it is. A small body is
hashed directly, which is cheaper than a thread, and written together with others (`BlobStore.store`).

The file has no name until the body was found to be what was announced, so a failure before that
leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from aiohttp import web

from scheduler.common.disk_reserve import sized
from scheduler.common.ids import new_blob_id
from scheduler.http.body import next_chunk
from scheduler.model import errors
from scheduler.model.errors import WireError
from scheduler.objects.blobs import BlobStore, write_whole

BATCH_BYTES = 1 << 20
MAX_CHUNKS = 512  # of one writev: IOV_MAX is 1024
MEGABYTE = 1 << 20
DEFAULT_LIMIT = 5120 * MEGABYTE
MD5_BYTES = 16
DEPTH = 4  # batches in flight; with 1, one slow write stalls the hash (measured: 0.7 x the rate)


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Bytes that may wait in the page cache: the disk should work from the start, not only at the end.
FLUSH_BYTES = 32 * MEGABYTE


class Lane:
    """Threads that take batches in order: to hash, to write, to flush. Uploads share lanes, one per core."""

    def __init__(self) -> None:
        self.uploads = 0
        self.hashing = ThreadPoolExecutor(1, thread_name_prefix="upload-hash")
        self.writing = ThreadPoolExecutor(1, thread_name_prefix="upload-write")
        self.flushing = ThreadPoolExecutor(1, thread_name_prefix="upload-flush")


LANES = [Lane() for _ in range(max(2, os.cpu_count() or 1))]


@dataclass(frozen=True, slots=True)
class Announced:
    """The headers of a request about its body: `length` is None if it is chunked, then `limit` bytes at most."""

    length: int | None
    limit: int
    md5: str | None

    @classmethod
    def of(cls, request: web.BaseRequest) -> Announced:
        """Parse the headers of a request. Raises WireError for invalid ones."""
        length = request.content_length
        if length is None and "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
            raise errors.content_length_required()
        return cls(length, max_content_length(request.headers), content_md5(request.headers))


def max_content_length(headers: Mapping[str, str]) -> int:
    """The limit of a chunked body. Raises WireError for an invalid header."""
    value = headers.get("max-content-length")
    if value is None:
        return DEFAULT_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise errors.invalid_max_content_length(value)
    return int(value)


def content_md5(headers: Mapping[str, str]) -> str | None:
    """The Content-MD5 header, if there is one. Raises WireError if it is no MD5."""
    value = headers.get("Content-MD5")
    if value is None:
        return None
    try:
        valid = len(base64.b64decode(value, validate=True)) == MD5_BYTES
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise errors.bad_request("Content-MD5 invalid")
    return value


class Upload:
    """One body on its way into a blob. A context manager: a blob that was not `publish`ed is removed at its end."""

    def __init__(self, blobs: BlobStore, announced: Announced) -> None:
        self.blob = new_blob_id()
        self.size = 0
        self._blobs = blobs
        self._announced = announced
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._fd = -1
        self._small = b""  # the whole of a small body
        self._lane = min(LANES, key=lambda lane: lane.uploads)
        self._working: deque[asyncio.Future[None]] = deque()
        self._flush: asyncio.Future[None] | None = None
        self._flushed = 0

    def __enter__(self) -> Upload:
        if self._announced.length != 0 and (self._announced.length or 0) >= self._blobs.space().for_objects:
            raise self._no_space()
        self._lane.uploads += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._lane.uploads -= 1
        if self._fd >= 0:
            self._blobs.drop(self._fd)

    @property
    def md5(self) -> str:
        """The MD5 of what has been received, in base64."""
        return base64.b64encode(self._md5.digest()).decode()

    async def receive(self, request: web.BaseRequest) -> None:
        """Receive the whole body and check that it is what was announced. Raises WireError."""
        try:
            await self._receive(request)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise self._no_space() from None
            raise
        finally:
            # A thread may still be writing to the file that is about to be closed.
            pending = [*self._working, *([self._flush] if self._flush else [])]
            if pending:
                await asyncio.wait(pending)
        if self._announced.md5 is not None and self._announced.md5 != self.md5:
            raise errors.content_md5_mismatch(self._announced.md5, self.md5)

    async def _receive(self, request: web.BaseRequest) -> None:
        batch: list[bytes] = []
        waiting = 0
        while chunk := await next_chunk(request):
            batch.append(chunk)
            waiting += len(chunk)
            if self._announced.length is None and self.size + waiting > self._announced.limit:
                raise errors.max_content_length_exceeded(self._announced.limit)
            if waiting >= BATCH_BYTES or len(batch) >= MAX_CHUNKS:
                await self._hand_over(batch, waiting)
                batch, waiting = [], 0
        if self._fd < 0:
            self._small = b"".join(batch)
            self._md5.update(self._small)
            self.size = len(self._small)
        elif batch:
            await self._hand_over(batch, waiting)
        await self._finish_work()
        if self._flush is not None:
            await self._flush  # what the disk refused is an error of this upload

    async def _hand_over(self, batch: list[bytes], length: int) -> None:
        """Hand a batch to the threads, once few enough are in flight."""
        await self._finish_work(but=2 * (DEPTH - 1))
        if self._fd < 0:
            self._open()
        loop = asyncio.get_running_loop()
        self._working.append(loop.run_in_executor(self._lane.hashing, self._hash, batch))
        self._working.append(loop.run_in_executor(self._lane.writing, self._write, batch, length, self.size))
        self.size += length
        if self.size - self._flushed >= FLUSH_BYTES and (self._flush is None or self._flush.done()):
            self._flushed = self.size
            self._flush = loop.run_in_executor(self._lane.flushing, os.fdatasync, self._fd)

    async def _finish_work(self, but: int = 0) -> None:
        """Wait for the oldest work until at most `but` pieces are in flight. Raises what they raised."""
        while len(self._working) > but:
            await self._working[0]
            self._working.popleft()

    def _open(self) -> None:
        self._fd = self._blobs.create()

    def _hash(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._md5.update(chunk)

    def _write(self, batch: list[bytes], length: int, offset: int) -> None:
        write_whole(self._fd, batch, length, offset)

    def _no_space(self) -> WireError:
        size = self._announced.length if self._announced.length is not None else self.size
        return errors.not_enough_space(sized(size))

    def detach(self) -> int:
        """The file of what has been received, without a name; the caller owns it from here on. Raises OSError."""
        if self._fd < 0:
            self._open()
            self._write([self._small], len(self._small), 0)
        fd, self._fd = self._fd, -1
        return fd

    async def publish(self) -> None:
        """Give the blob its name and return when it is on disk. An empty body has no blob. Raises WireError."""
        if self._fd >= 0:
            self._blobs.publish(self._fd, self.blob)
            await self._blobs.durable()
        elif self._small:
            try:
                await self._blobs.store(self.blob, self._small)
            except OSError as error:
                if error.errno in NO_SPACE:
                    raise self._no_space() from None
                raise
