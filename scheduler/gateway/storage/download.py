"""Downloads: sending an entry's bytes to a user, and counting them."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from scheduler.gateway.context import Call
from scheduler.http.ranges import Part
from scheduler.http.sending import send_part, send_size


async def send_blob(call: Call, fd: int, part: Part, status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
    """Answer with `part` of the file behind `fd`, which the caller closes."""
    call.context.metrics.bytes_out.inc(part.length)
    return await send_part(call.request, fd, part, status, headers)


async def send_nothing(call: Call, size: int, headers: CIMultiDict[str]) -> web.StreamResponse:
    """Answer HEAD: all headers, among them the length of what GET would send."""
    return await send_size(call.request, size, headers)
