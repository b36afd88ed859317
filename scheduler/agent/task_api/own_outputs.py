"""Outputs of an attempt as its own task reads them, before they are committed and visible to
others.

An output becomes an object when its attempt is committed. Until then its bytes are in a file that
the attempt holds, or in a blob that only this agent knows (`publish`), and a GET or HEAD of its
name by the attempt's own task is answered from there, as the gateway would answer: ranges,
conditions, the headers that a PUT gave. If a name was emitted twice, the last one counts, as it
will after the commit.

The descriptor is opened anew for each request, so a reply that is broken off, or that continues
while the attempt ends, affects no other request.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.blobs.stores import Stores
from scheduler.http import answering
from scheduler.http.ranges import Part, parse_range
from scheduler.http.sending import send_part, send_size
from scheduler.model import names
from scheduler.model.dates import rfc1123
from scheduler.model.errors import WireError
from scheduler.model.wire import BlobRef
from scheduler.objects import headers as kept_headers
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import DEFAULT_COPIES, DEFAULT_TYPE, OBJECT, Entry

NOT_MODIFIED = 304
READS = ("GET", "HEAD")


def emitted_by(attempt: Attempt, request: web.BaseRequest) -> Emitted | None:
    """The output of the attempt that a request reads; None if it reads something else, or a reference."""
    if request.method not in READS or not attempt.emitted:
        return None
    try:
        name = names.from_request(request.raw_path.partition("?")[0])
    except WireError:
        return None
    output = next((each for each in reversed(attempt.emitted) if each.name == name), None)
    return None if output is None or (output.fd is None and output.kept is None) else output


async def send_output(
    stores: Stores, attempt: Attempt, output: Emitted, request: web.BaseRequest
) -> web.StreamResponse:
    """Answer with an output of the attempt. Raises WireError."""
    kept = output.kept
    if output.fd is not None:
        fd = os.open(f"/proc/self/fd/{output.fd}", os.O_RDONLY | os.O_CLOEXEC)
    else:
        assert kept is not None
        fd = open_blob(stores, kept)
    md5 = output.md5 or (kept.md5 if kept is not None else None)
    return await send_file(attempt, request, fd, Sent(output.blob, md5, output.headers))


async def send_input(stores: Stores, attempt: Attempt, blob: BlobRef, request: web.BaseRequest) -> web.StreamResponse:
    """Answer with the attempt's input. Raises WireError or FileNotFoundError."""
    fd = stores.store_of(blob).open(blob.id) if blob.size else -1
    return await send_file(attempt, request, fd, Sent(blob.id, blob.md5, {}))


def open_blob(stores: Stores, blob: BlobRef) -> int:
    """A descriptor of a blob; -1 for an empty one, which has no file."""
    return stores.open(blob) if blob.size else -1


@dataclass(frozen=True, slots=True)
class Sent:
    """The attributes of a file that is sent."""

    etag: str
    md5: str | None
    headers: Mapping[str, str]

    def entry(self, status: os.stat_result | None) -> Entry:
        """The entry that the namespace would have for it; its name does not matter."""
        size, changed = (status.st_size, status.st_mtime_ns) if status else (0, time.time_ns())
        kind, kept = kept_headers.content_type(self.headers), kept_headers.user_metadata(self.headers)
        return Entry("", "", OBJECT, self.etag, size, self.md5, kind, DEFAULT_COPIES, kept, 0, 0, changed // 1_000_000)


async def send_file(attempt: Attempt, request: web.BaseRequest, fd: int, sent: Sent) -> web.StreamResponse:
    """Answer with a file as the gateway does with an object; `fd` (-1: nothing) is closed. `attempt` is charged."""

    def begin(reply: web.StreamResponse) -> None:
        answering.go_out(request, reply)

    try:
        entry = sent.entry(os.fstat(fd) if fd >= 0 else None)
        headers = headers_of(entry)
        if not Conditions.of(request.headers).check_read(entry):
            return web.Response(status=NOT_MODIFIED, headers=headers)
        size, status = entry.size or 0, 200
        part = Part(0, size)
        if request.method == "HEAD":
            return await send_size(request, size, headers, begin)
        if "Range" in request.headers and size:
            status, part = 206, parse_range(request.headers["Range"], size)
            headers["Content-Range"] = part.content_range(size)
            headers.popall("Content-MD5", None)
        attempt.received += part.length
        if size == 0:
            return web.Response(status=status, headers=headers)
        return await send_part(request, fd, part, status, headers, begin)
    finally:
        if fd >= 0:
            os.close(fd)


def headers_of(entry: Entry) -> CIMultiDict[str]:
    """The reply's headers for an object."""
    headers = CIMultiDict(entry.headers)
    headers["Content-Type"] = entry.type or DEFAULT_TYPE
    headers["Etag"] = entry.etag or ""
    headers["Last-Modified"] = rfc1123(entry.mtime)
    headers["Accept-Ranges"] = "bytes"
    if entry.md5 is not None:
        headers["Content-MD5"] = entry.md5
    return headers
