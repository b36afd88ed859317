"""Bytes up and bytes down.

Upwards, a source is either a file, which can be read again, or a stream, which cannot. So a file is
sent with its length and, when the connection breaks or the service is restarted, sent again
(`retry`); a stream goes in chunks, once. The parent is looked at first when the object is new: a
refusal in the middle of a body is the one answer that may get lost with the connection it closes.

A stream may be silent for longer than the service waits for the next byte of a body (45 s). So
nothing is asked before there is more than a *reserve* of 4 KiB, and the last 4 KiB are always kept
back: while the source says nothing, one byte of them is sent every 15 s. That lasts for 17 hours.

Downwards, what arrived is checked: length and MD5. A transfer that breaks off is resumed where it
stopped, by range, and only if the object is still the same (`If-Match`); so is one that an earlier
run of the command has begun.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from cli.client import objects, paths
from cli.client.problem import Problem, Refused, refusal
from cli.client.session import Session
from cli.client.transport.retry import ATTEMPTS, again

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 20
RESERVE = 4096  # bytes of a stream that are kept back, to have something to say while it is silent
DRIP_SECONDS = 15.0
Progress = Callable[[int], None]  # called with the number of bytes that have just moved


def ignore(_count: int) -> None:
    """No progress is shown."""


def chunks(source: BinaryIO, progress: Progress, limit: int = sys.maxsize) -> Iterator[bytes]:
    """What `source` holds, at most `limit` bytes, as it comes: from a pipe without waiting for a whole chunk."""
    read = getattr(source, "read1", source.read)
    while data := read(min(CHUNK, limit)):
        limit -= len(data)
        progress(len(data))
        yield data


def file_md5(path: str) -> str:
    """The MD5 of a file, in base64."""
    with open(path, "rb") as file:
        return rest_md5(file)


def rest_md5(file: io.BufferedReader | io.FileIO) -> str:
    """The MD5 of what is left of a file, in base64."""
    return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()


def check_parent(session: Session, path: str, *, make: bool) -> None:
    """See that the directory of a new object exists, or make it. Raises `Refused` DirectoryDoesNotExistError."""
    if make:
        objects.make_parents(session, path)
        return
    above = paths.parents(path)
    if above and not objects.info_or_none(session, above[-1]):
        raise refusal(404, "DirectoryDoesNotExist", f"{above[-1]} does not exist")


def put_file(session: Session, path: str, file: str, headers: Mapping[str, str], progress: Progress = ignore) -> None:
    """Store a local file as the object `path`. Raises `Problem`, `OSError`."""

    def send() -> None:
        with open(file, "rb", buffering=0) as source:
            size = os.fstat(source.fileno()).st_size  # a file that grows meanwhile is stored as it was
            length = {"content-length": str(size)}
            session.call("PUT", path, headers={**headers, **length}, body=chunks(source, progress, size))

    again(session, send)


def put_stream(
    session: Session, path: str, source: BinaryIO, headers: Mapping[str, str], progress: Progress = ignore
) -> None:
    """Store what `source` gives until it ends as the object `path`, in one attempt. Raises `Problem`."""
    pieces = steady(source.fileno(), progress)
    first = next(pieces, b"")  # may take hours: the service hears nothing of it before
    session.call("PUT", path, headers=headers, body=chain([first], pieces))


def steady(source: int, progress: Progress) -> Iterator[bytes]:
    """What the descriptor `source` gives, with a byte at least every `DRIP_SECONDS` once the first piece is out."""
    held, begun = b"", False
    while True:
        if begun and held and not select.select([source], [], [], DRIP_SECONDS)[0]:
            yield held[:1]
            held = held[1:]
            continue
        data = os.read(source, CHUNK)
        if not data:
            break
        progress(len(data))
        whole = held + data
        if len(whole) > RESERVE:
            begun = True
            yield whole[:-RESERVE]
        held = whole[-RESERVE:]
    if held:
        yield held


class Download:
    """One object on its way into `write`. `total` is its size once the service has said so, else None."""

    def __init__(
        self, session: Session, path: str, write: Callable[[bytes], object], progress: Progress = ignore
    ) -> None:
        self.session = session
        self.path = path
        self.write = write
        self.progress = progress
        self.total: int | None = None
        self.received = 0
        self._etag = ""
        self._wanted_md5: str | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)

    def resume(self, begun: BinaryIO, total: int, etag: str, md5: str) -> None:
        """Go on after what the file `begun` holds of the version `etag`, which has `total` bytes and this MD5."""
        while data := begun.read(CHUNK):
            self._md5.update(data)
            self.received += len(data)
        self.total, self._etag, self._wanted_md5 = total, etag, md5

    def run(self, headers: Mapping[str, str]) -> None:
        """Fetch it whole. Raises `Refused`, or `Problem` DownloadError, ChecksumError."""
        for attempt in range(ATTEMPTS):
            if attempt and (self.total is None or not self._etag):
                break
            if self.total is not None and self.received >= self.total:
                break
            begun = self.total is not None and self.received > 0
            rest = {"range": f"bytes={self.received}-", "if-match": self._etag} if begun or attempt else {}
            self._attempt({**headers, **rest})
        if self.total is not None and self.received != self.total:
            raise Problem(f"{self.path}: got {self.received} of {self.total} bytes", "DownloadError")
        self._check_md5()

    def _attempt(self, headers: Mapping[str, str]) -> None:
        """One request. A body that breaks off is no error yet if it can be resumed."""
        try:
            with self.session.stream("GET", self.path, headers=headers) as reply:
                if "range" not in headers or self.total is None:
                    self._learn(reply, asked_range=any(name.lower() == "range" for name in headers))
                elif not reply.headers.get("content-range", "").startswith(f"bytes {self.received}-"):
                    raise Problem(f"{self.path}: the service cannot resume a transfer", "DownloadError")
                for data in reply.iter_raw():  # as it comes: a chunk size would lose what had come before a failure
                    self._take(data)
        except Refused:
            raise
        except Problem as error:
            if error.name != "ConnectionError" or not self._etag:
                raise

    def _learn(self, reply: httpx.Response, *, asked_range: bool) -> None:
        length = reply.headers.get("content-length")
        self.total = int(length) if length is not None else None
        self._wanted_md5 = None if asked_range else reply.headers.get("content-md5")
        self._etag = "" if asked_range else reply.headers.get("etag", "")

    def _take(self, data: bytes) -> None:
        self._md5.update(data)
        self.received += len(data)
        self.write(data)
        self.progress(len(data))

    def _check_md5(self) -> None:
        got = base64.b64encode(self._md5.digest()).decode()
        if self._wanted_md5 and self._wanted_md5 != got:
            raise Problem(f"{self.path}: the MD5 should be {self._wanted_md5} but is {got}", "ChecksumError")


def get(
    session: Session, path: str, write: Callable[[bytes], object], headers: Mapping[str, str] | None = None
) -> None:
    """Fetch an object into `write`, checked and resumed as need be. Raises `Problem`."""
    Download(session, path, write).run(headers or {})


def encoded_md5(data: bytes) -> str:
    """The `Content-MD5` of a small body."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


__all__ = [
    "Download",
    "Progress",
    "check_parent",
    "encoded_md5",
    "file_md5",
    "get",
    "put_file",
    "put_stream",
    "rest_md5",
]
