"""Bytes up and bytes down.

Upwards, a source is either a file, which can be read again, or a stream, which cannot.
So a file is sent with its length and, when the connection breaks, sent again; a stream goes
in chunks, once. The parent is looked at first when the object is new: a refusal in the middle
of a body is the one answer that may get lost with the connection it closes.

Downwards, what arrived is checked: length and MD5. A transfer that breaks off is resumed
where it stopped, by range, and only if the object is still the same (`If-Match`).
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from cli.client import objects, paths
from cli.client.problem import Problem, Refused, refusal
from cli.client.session import Session

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 20
ATTEMPTS = 4
FIRST_DELAY, LONGEST_DELAY = 1.0, 10.0
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
    delay = FIRST_DELAY
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with open(file, "rb", buffering=0) as source:
                size = os.fstat(source.fileno()).st_size  # a file that grows meanwhile is stored as it was
                length = {"content-length": str(size)}
                session.call("PUT", path, headers={**headers, **length}, body=chunks(source, progress, size))
            return
        except Problem as error:
            temporary = error.status >= 500 if isinstance(error, Refused) else error.name == "ConnectionError"
            if attempt == ATTEMPTS or not temporary:
                raise
        time.sleep(delay)
        delay = min(LONGEST_DELAY, delay * 2)


def put_stream(
    session: Session, path: str, source: BinaryIO, headers: Mapping[str, str], progress: Progress = ignore
) -> None:
    """Store what `source` gives until it ends as the object `path`, in one attempt. Raises `Problem`."""
    session.call("PUT", path, headers=headers, body=chunks(source, progress))


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

    def run(self, headers: Mapping[str, str]) -> None:
        """Fetch it whole. Raises `Refused`, or `Problem` DownloadError, ChecksumError."""
        self._attempt(headers)
        for _ in range(ATTEMPTS - 1):
            if self.total is None or self.received >= self.total:
                break
            if not self._etag:
                break
            rest = {"range": f"bytes={self.received}-", "if-match": self._etag}
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


__all__ = ["Download", "Progress", "check_parent", "encoded_md5", "file_md5", "get", "put_file", "put_stream"]
