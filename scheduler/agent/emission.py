"""Outputs that a task emits by HTTP: by value (the body) and by reference (the name)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import os

from aiohttp import web

from scheduler.agent.attempt import Attempt, Emitted
from scheduler.agent.client import UnavailableError
from scheduler.agent.forward import IDLE_SECONDS, invite
from scheduler.agent.host import Host
from scheduler.model import names
from scheduler.model.errors import (
    WireError,
    content_md5_mismatch,
    internal_error,
    not_enough_space,
    upload_abandoned,
    upload_timeout,
)
from scheduler.model.wire import OutputCheck

BLOCK = 1 << 20
# Headers of a PUT that stay with the object.
KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "role-tag")
KEPT_PREFIXES = ("m-", "access-control-", "x-durability-level", "durability-level")


def refer(attempt: Attempt, request: web.BaseRequest, reducer: int | None) -> web.Response:
    """Emit an object by name; it is looked for when the next phase wants it, and not now."""
    name = names.from_request(request.raw_path.partition("?")[0])
    if request.headers.get("X-Manta-Stream", "stdout").lower() == "stdout":
        attempt.uncaptured = True
        attempt.emitted.append(Emitted(name, None, reducer, named=True))
    return web.Response(status=204)


async def emit_body(host: Host, attempt: Attempt, request: web.BaseRequest, reducer: int | None) -> web.Response:
    """Emit the body as an output of the attempt. Raises WireError; then nothing is emitted."""
    name = names.from_request(request.raw_path.partition("?")[0])
    try:
        await host.client.check(OutputCheck(job=host.spec.job, name=name))
    except UnavailableError:
        raise WireError(503, "ServiceUnavailable", "the service does not answer, try again") from None
    await invite(request)
    fd = host.blobs.create()
    try:
        digest = await receive(request, fd)
        check_md5(request, digest)
        if host.current() is not attempt:
            raise WireError(409, "ConflictError", "invalid zone state")
    except BaseException:
        os.close(fd)
        raise
    output = Emitted(name, fd, reducer, named=True, headers=kept_headers(request))
    attempt.emitted.append(output)
    return web.Response(status=204, headers={"Etag": output.blob, "Computed-MD5": base64.b64encode(digest).decode()})


async def receive(request: web.BaseRequest, fd: int) -> bytes:
    """Write the body to `fd`; returns its MD5. Raises WireError: cut off, too slow, no space."""
    digest = hashlib.md5(usedforsecurity=False)
    block = bytearray()

    def store(data: bytes) -> None:
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    try:
        while chunk := await asyncio.wait_for(request.content.readany(), IDLE_SECONDS):
            block += chunk
            if len(block) >= BLOCK:
                await asyncio.to_thread(store, bytes(block))
                block.clear()
        store(bytes(block))
    except TimeoutError:
        raise upload_timeout() from None
    except (ConnectionError, web.RequestPayloadError):
        raise upload_abandoned() from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (not_enough_space((request.content_length or 0) >> 20) if full else internal_error()) from None
    return digest.digest()


def check_md5(request: web.BaseRequest, digest: bytes) -> None:
    """Compare with `Content-MD5`, if the client sent one. Raises WireError."""
    if (expected := request.headers.get("Content-MD5")) is None:
        return
    try:
        matches = base64.b64decode(expected, validate=True) == digest
    except binascii.Error:
        matches = False
    if not matches:
        raise content_md5_mismatch(expected, base64.b64encode(digest).decode())


def kept_headers(request: web.BaseRequest) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() in KEPT or name.lower().startswith(KEPT_PREFIXES)
    }
