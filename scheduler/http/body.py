"""Reading the body of a request, only when its handler wants it.

A client that expects `100 Continue` has not sent its body yet, and the stock client can never send
it twice. So "continue" is not sent before the request is known to be good: `invite` is called by
the code that is about to read the body, and nowhere else.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from scheduler.http.progress import progress
from scheduler.http.protocol import LITTLE_BYTES, HttpConnection
from scheduler.model.errors import request_too_large, upload_abandoned, upload_timeout

INACTIVITY_SECONDS = 45.0
# So much of a read is the body's own: it is not in very small chunks.
FULL = LITTLE_BYTES * 3 // 4


def expects_continue(request: web.BaseRequest) -> bool:
    """Whether the client waits for `100 Continue` before it sends its body, and has not got it yet."""
    return request.headers.get("Expect", "").lower() == "100-continue" and not progress(request).invited


async def invite(request: web.BaseRequest) -> None:
    """Send `100 Continue` to a client that waits for it."""
    if expects_continue(request):
        progress(request).invited = True
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Output counts as the reply from here on.
        request.writer.output_size = 0


async def next_chunk(request: web.BaseRequest) -> bytes:
    """The next bytes of the body, empty at its end. Raises WireError: too slow, cut off, malformed."""
    try:
        if request.content.is_eof():  # all of it has arrived: a timer costs more than a small body
            return request.content.read_nowait()
        async with asyncio.timeout(INACTIVITY_SECONDS):
            chunk = await request.content.readany()
    except TimeoutError:
        raise upload_timeout() from None
    except (web.RequestPayloadError, ConnectionError):
        raise upload_abandoned() from None
    if len(chunk) >= FULL and isinstance(request.protocol, HttpConnection):
        request.protocol.read_much(True)
    return chunk


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole of a small body. Raises WireError if it has more than `limit` bytes."""
    if (request.content_length or 0) > limit:
        raise request_too_large(request.content_length or 0, limit)
    await invite(request)
    body = bytearray()
    while chunk := await next_chunk(request):
        body += chunk
        if len(body) > limit:
            raise request_too_large(len(body), limit)
    return bytes(body)
