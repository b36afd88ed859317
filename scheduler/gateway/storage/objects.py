"""Objects: writing and reading them.

A PUT that can be refused is refused before its body is read: the same `guard` that decides
inside the transaction checks the entry beforehand. This first check is left out only for a small body
that is on its way anyway, since the transaction decides in any case.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.gateway.storage import headers as entry_headers
from scheduler.gateway.storage.download import send_blob, send_nothing
from scheduler.http.body import expects_continue, invite
from scheduler.http.ranges import Part, parse_range
from scheduler.http.upload import Announced, Upload
from scheduler.model import errors, names
from scheduler.model.dates import rfc1123
from scheduler.objects import headers as kept_headers
from scheduler.objects import namespace
from scheduler.objects.admission import admit, refuse_directory
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import Entry, NewObject

# A task may keep a reader from its input for so long; then the reader gets 503 and may retry.
LEASED_SECONDS = 2.0
SMALL_BYTES = 64 * 1024
NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Write:
    """A PUT of an object, as described by its headers."""

    announced: Announced
    conditions: Conditions
    type: str
    copies: int
    headers: dict[str, str]

    @classmethod
    def of(cls, call: Call) -> Write:
        """The PUT that a request describes. Raises WireError for invalid headers."""
        sent = call.request.headers
        return cls(
            Announced.of(call.request),
            Conditions.of(sent),
            kept_headers.content_type(sent),
            kept_headers.copies(sent),
            kept_headers.stored(sent, public=names.top(call.path) == "public"),
        )

    def worth_a_look_first(self, request: web.BaseRequest) -> bool:
        length = self.announced.length
        return expects_continue(request) or length is None or length > SMALL_BYTES


async def write_object(call: Call) -> web.StreamResponse:
    """PUT of an object: 204 when it is on disk under its name."""
    write = Write.of(call)
    login = names.owner(call.path)
    most = await call.context.limiter.limits_of(call.caller.limits)
    await call.context.limiter.check_stored(login, most, 1, write.announced.length or 0)
    looked = write.worth_a_look_first(call.request)
    if looked:
        await call.context.db.read(lambda c: admit(c, call.path, call.request.headers, write.conditions))
    with Upload(call.context.blobs, write.announced) as upload:
        await invite(call.request)
        await upload.receive(call.request)
        if write.announced.length is None:
            await call.context.limiter.check_stored(login, most, 0, upload.size)
        call.context.metrics.bytes_in.inc(upload.size)
        entry = await name_upload(call, write, upload, looked)
    return web.Response(status=204, headers=written_headers(entry))


async def name_upload(call: Call, write: Write, upload: Upload, looked: bool) -> Entry:
    """Name a received body in a transaction. On failure the blob is removed."""
    await upload.publish()
    new = NewObject(call.path, upload.blob, upload.size, upload.md5, write.type, write.copies, write.headers)

    def guard(old: Entry | None) -> None:
        refuse_directory(call.path, call.request.headers, old)
        (write.conditions.recheck_write if looked else write.conditions.check_write)(old)

    try:
        return await call.context.puts.name(new, guard)
    except Exception:
        call.context.blobs.discard_soon([upload.blob] if upload.size else [])
        raise


def written_headers(entry: Entry) -> dict[str, str]:
    return {"Etag": entry.etag or "", "Last-Modified": rfc1123(entry.mtime), "Computed-MD5": entry.md5 or ""}


async def read_object(call: Call, entry: Entry) -> web.StreamResponse:
    """GET or HEAD of an object that exists."""
    sent = call.request.headers
    headers = entry_headers.of_entry(entry, call.method, sent.get("Origin"))
    if not entry_headers.acceptable(sent.get("Accept"), entry.type or ""):
        raise errors.not_acceptable(call.path, entry.type or "")
    if not Conditions.of(sent).check_read(entry):
        return web.Response(status=NOT_MODIFIED, headers=headers)
    size = entry.size or 0
    status, part = 200, Part(0, size)
    # An empty object has no part. Manta's clients ask for the first bytes of any object, so an empty reply is sent.
    if "Range" in sent and call.method == "GET" and size:
        status, part = 206, parse_range(sent["Range"], size)
        headers["Content-Range"] = part.content_range(size)
        del headers["Content-MD5"], headers["Accept-Ranges"]
    if call.method == "HEAD":
        return await send_nothing(call, size, headers)
    if size == 0:
        return web.Response(status=status, headers=headers)
    try:
        fd = await call.context.blobs.open_soon(entry.etag or "", LEASED_SECONDS)
    except FileNotFoundError:
        return await read_again(call, entry)
    except BlockingIOError:
        raise errors.service_unavailable(f"a task holds a lease on the bytes of {call.path}: try again") from None
    try:
        return await send_blob(call, fd, part, status, headers)
    finally:
        os.close(fd)


async def read_again(call: Call, stale: Entry) -> web.StreamResponse:
    """Read an object whose blob was removed before it could be opened: it was replaced or deleted meanwhile."""
    entry = await call.context.db.read(lambda c: namespace.lookup(c, call.path))
    if entry is None or entry.is_directory:
        raise errors.not_found(call.path)
    if entry.etag == stale.etag:
        raise FileNotFoundError(f"the blob {entry.etag} of {call.path} is missing")
    return await read_object(call, entry)


__all__ = ["read_object", "write_object"]
