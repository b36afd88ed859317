"""Batches: many small objects put by one request.

The PUT of a small object costs a signature, an HTTP exchange and a place in a transaction, and all of that far more
than its bytes do. `POST /login/stor/directory` pays once for up to 500 of them. The body is a sequence of objects,
each a line of JSON followed by as many bytes as the line says:

    {"name": "a.txt", "size": 3, "md5": "…", "type": "text/plain"}
    abc{"name": "empty", "size": 0}

`name` is one segment below the directory, which must exist; `md5` (base64) is checked, `type` stored, and both may
be missing. Headers that are stored (`m-*`, durability and so on) apply to all objects. Conditions are refused, because
they are about one object.

The reply is a line of JSON for each object, in the same order: `name` with `etag`, or with the `status`, `code` and
`message` that a PUT of it would have returned. A refused object does not affect the others. All others are
on disk under their names when the reply begins: one `syncfs` and one transaction serve the batch.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from scheduler.common.disk_reserve import sized
from scheduler.common.display import compact
from scheduler.common.ids import new_blob_id
from scheduler.gateway.access import permissions
from scheduler.gateway.context import Call
from scheduler.http import role_headers
from scheduler.http.body import read_body
from scheduler.model import batch, errors, names
from scheduler.model.errors import WireError
from scheduler.objects import headers as kept_headers
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import NewObject

REPLY_TYPE = "application/x-json-stream; type=object"


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a batch, as it was sent."""

    name: str
    body: memoryview
    md5: str | None  # as the client says, base64
    type: str
    digest: str  # as its bytes say, base64


def is_batch(call: Call) -> bool:
    return call.request.content_type == batch.CONTENT_TYPE


async def put_batch(call: Call) -> web.StreamResponse:
    """POST of objects to a directory. Raises WireError if the batch as a whole is invalid."""
    sent = call.request.headers
    role_headers.refuse_tags(permissions.said(call, "role-tag"))
    if Conditions.of(sent) != Conditions():
        raise errors.bad_request("a condition is about one object: put that one by itself")
    copies, kept = kept_headers.copies(sent), kept_headers.stored(sent, public=names.top(call.path) == "public")
    body = await read_body(call.request, batch.MAX_BYTES)
    call.context.metrics.bytes_in.inc(len(body))
    parts = await asyncio.to_thread(lambda: list(parse(body)))  # which hashes all of it
    if len({part.name for part in parts}) < len(parts):
        raise errors.bad_request("one name is twice in the batch")
    refused = {part.name: problem for part in parts if (problem := refusal(call.path, part))}
    wanted = [part for part in parts if part.name not in refused]
    most = await call.context.limiter.limits_of(call.caller.limits)
    size = sum(len(part.body) for part in wanted)
    await call.context.limiter.check_stored(names.owner(call.path), most, len(wanted), size)
    if len(body) >= call.context.blobs.space().for_objects:
        raise errors.not_enough_space(sized(len(body)))
    blobs = await asyncio.to_thread(store, call.context.blobs, wanted)
    objects = [
        NewObject(f"{call.path}/{part.name}", blob, len(part.body), part.digest, part.type, copies, kept)
        for part, blob in zip(wanted, blobs, strict=True)
    ]
    refused.update(await name_all(call, objects))
    return reply_of(parts, {names.split(new.path)[1]: new.etag for new in objects}, refused)


def parse(body: bytes) -> Iterator[Part]:
    """The objects of a body. Raises WireError if the body is not a sequence of objects."""
    view, at, count = memoryview(body), 0, 0
    while at < len(body):
        end = body.find(b"\n", at, at + batch.MAX_LINE)
        part, size = described(body[at:end]) if end >= 0 else (None, 0)
        at, count = end + 1 + size, count + 1
        if part is None or at > len(body):
            raise errors.bad_request(f"object {count} of the batch is cut off, or not described as it must be")
        if count > batch.MAX_OBJECTS:
            raise errors.bad_request(f"a batch has at most {batch.MAX_OBJECTS} objects")
        data = view[end + 1 : at]
        yield Part(part["name"], data, part.get("md5"), stored_type(part), md5_of(data))


def described(line: bytes) -> tuple[dict[str, Any] | None, int]:
    """The fields of an object's line, and the object's size; None for the fields if they are invalid."""
    try:
        said = json.loads(line)
        size = said["size"]
        texts = [said["name"], said.get("md5", ""), said.get("type", "")]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None, 0
    fits = type(size) is int and size >= 0 and all(type(text) is str for text in texts)
    return (said, size) if fits else (None, 0)


def stored_type(said: dict[str, Any]) -> str:
    text = said.get("type", "").encode("utf-8", "replace").decode()
    return kept_headers.content_type({"content-type": text})


def refusal(directory: str, part: Part) -> WireError | None:
    """The reason why one object of a batch cannot be stored; None if it can."""
    path = f"{directory}/{part.name}"
    if not part.name or names.bad_segment(part.name) or not names.fits(path):
        return errors.invalid_resource(path)
    if part.md5 is not None and part.md5 != part.digest:
        return errors.content_md5_mismatch(part.md5, part.digest)
    return None


def md5_of(body: memoryview) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def store(blobs: BlobStore, parts: Sequence[Part]) -> list[str]:
    """Write each object's bytes to a blob of its own; returns their ids.

    On failure no blob stays. Raises WireError, OSError.
    """
    ids = [new_blob_id() for _ in parts]
    try:
        for part, blob in zip(parts, ids, strict=True):
            if part.body:
                blobs.write(blob, part.body)
    except OSError as error:
        blobs.discard(ids)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.not_enough_space(sized(sum(len(part.body) for part in parts))) from None
        raise
    return ids


async def name_all(call: Call, objects: Sequence[NewObject]) -> dict[str, WireError]:
    """Name all blobs in one transaction; returns the errors of those that cannot be named, by name."""
    blobs = [new.etag for new in objects if new.size]
    try:
        if blobs:
            await call.context.blobs.durable()
        placed = await call.context.db.write(lambda c: namespace.put_objects(c, objects, call.now, make_parents=False))
    except Exception:
        call.context.blobs.discard_soon(blobs)
        raise
    call.context.blobs.discard_soon([*placed.discard, *(new.etag for new, _ in placed.refused if new.size)])
    return {names.split(new.path)[1]: problem for new, problem in placed.refused}


def reply_of(parts: Sequence[Part], etags: dict[str, str], refused: dict[str, WireError]) -> web.Response:
    """The reply to a batch: a line for each object, with its etag or its error."""
    lines = [
        {"name": part.name, "status": problem.status, "code": problem.code, "message": problem.message}
        if (problem := refused.get(part.name))
        else {"name": part.name, "etag": etags[part.name]}
        for part in parts
    ]
    text = "".join(f"{compact(line)}\n" for line in lines)
    return web.Response(body=text.encode("utf-8", "replace"), headers={"Content-Type": REPLY_TYPE})
