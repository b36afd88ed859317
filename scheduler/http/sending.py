"""Sending a file to the client without copying its bytes through this process.

The kernel copies from the page cache to the socket (`sendfile`). It is called for a piece at a
time, so that a client that reads nothing for too long is noticed; a slow client delays no other.
Small parts go out in one write together with their headers.

With TLS each byte has to be encrypted here. asyncio could do that behind `sendfile`, but hands every 16
KiB to a thread, which costs ten times as much as the encryption: so larger pieces are read and written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from aiohttp import web
from multidict import CIMultiDict

from scheduler.http.body import INACTIVITY_SECONDS
from scheduler.http.ranges import Part

SMALL_BYTES = 64 * 1024
PIECE_BYTES = 1 << 20
TLS_PIECE_BYTES = 256 * 1024


async def send_part(
    request: web.BaseRequest,
    fd: int,
    part: Part,
    status: int,
    headers: CIMultiDict[str],
    begin: Callable[[web.StreamResponse], None] = lambda reply: None,
) -> web.StreamResponse:
    """Answer with `part` of the file behind `fd`, which the caller closes; `begin` is called with the reply before."""
    if part.length <= SMALL_BYTES:
        return web.Response(status=status, body=os.pread(fd, part.length, part.offset), headers=headers)
    reply = web.StreamResponse(status=status, headers=headers)
    reply.content_length = part.length
    os.posix_fadvise(fd, part.offset, part.length, os.POSIX_FADV_SEQUENTIAL)
    begin(reply)
    await reply.prepare(request)
    if is_encrypted(request):
        await write_pieces(request, reply, fd, part)
        await reply.write_eof()
        return reply
    # The headers of a streamed reply wait for its first bytes, and these bypass the writer.
    request.writer.send_headers()
    with os.fdopen(os.dup(fd), "rb", buffering=0) as file:
        await send_pieces(request, file, part)
    await reply.write_eof()
    return reply


async def send_pieces(request: web.BaseRequest, file: object, part: Part) -> None:
    """Send a part by `sendfile`, piece by piece. Raises ConnectionResetError if the client is gone or reads nothing."""
    loop = asyncio.get_running_loop()
    offset, end = part.offset, part.offset + part.length
    while offset < end:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        count = min(PIECE_BYTES, end - offset)
        try:
            async with asyncio.timeout(INACTIVITY_SECONDS):
                await loop.sendfile(transport, file, offset, count)  # type: ignore[arg-type]
        except TimeoutError:
            transport.abort()
            raise ConnectionResetError("the client takes nothing") from None
        offset += count


def is_encrypted(request: web.BaseRequest) -> bool:
    return request.transport is not None and request.transport.get_extra_info("ssl_object") is not None


async def write_pieces(request: web.BaseRequest, reply: web.StreamResponse, fd: int, part: Part) -> None:
    """Read and write a part, piece by piece. Raises ConnectionResetError if the client reads nothing."""
    loop = asyncio.get_running_loop()
    offset, end = part.offset, part.offset + part.length
    while offset < end:
        piece = await loop.run_in_executor(None, os.pread, fd, min(TLS_PIECE_BYTES, end - offset), offset)
        try:
            async with asyncio.timeout(INACTIVITY_SECONDS):
                await reply.write(piece)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client takes nothing") from None
        offset += len(piece)


async def send_size(
    request: web.BaseRequest,
    size: int,
    headers: CIMultiDict[str],
    begin: Callable[[web.StreamResponse], None] = lambda reply: None,
) -> web.StreamResponse:
    """Answer HEAD: all headers, among them the length of what GET would send."""
    reply = web.StreamResponse(headers=headers)
    reply.content_length = size
    begin(reply)
    await reply.prepare(request)
    return reply
