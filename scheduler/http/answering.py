"""The last step of a request: from the handler's result to the reply, and whether the connection ends with it."""

from __future__ import annotations

from aiohttp import web

from scheduler.http.body import expects_continue
from scheduler.http.progress import progress
from scheduler.http.protocol import HttpConnection
from scheduler.http.replies import Speaker, add_common_headers, error_reply
from scheduler.model.errors import WireError

REFUSED = 400  # statuses from here on
SILENT = 408  # a client that has sent nothing for too long will not send the rest either


def refusal(request: web.BaseRequest, error: WireError) -> web.StreamResponse:
    """The reply to a refused request. Raises ConnectionError if another reply has begun already."""
    if progress(request).begun:
        # Half a reply is out already: only a broken connection can say that it is incomplete.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError(str(error))
    reply = error_reply(error)
    if error.headers.get("Connection") == "close":
        reply.force_close()
    if error.status == SILENT:
        hang_up(request, reply)
    return reply


def begin(speaker: Speaker, request: web.BaseRequest, reply: web.StreamResponse) -> None:
    """Add the common headers to a reply; to be called for each reply just before its headers go out."""
    add_common_headers(speaker, request, reply)
    go_out(request, reply)


def go_out(request: web.BaseRequest, reply: web.StreamResponse) -> None:
    """The same for a reply whose other headers are complete, such as a forwarded one."""
    progress(request).begun = True
    if expects_continue(request):
        hang_up(request, reply)
    if request.headers.get("User-Agent", "").startswith("curl"):
        close_after(reply)
    protocol = request.protocol
    if isinstance(protocol, HttpConnection):
        if protocol.is_last_refusal(reply.status):
            hang_up(request, reply)
        if reply.status >= REFUSED and not request.content.is_eof() and is_chunked(request):
            # The end of this body can be found in its chunks only, and they may be of one byte each.
            close_after(reply)
            protocol.drop_rest()
        protocol.read_much(False)


def is_chunked(request: web.BaseRequest) -> bool:
    return "Transfer-Encoding" in request.headers


def hang_up(request: web.BaseRequest, reply: web.StreamResponse) -> None:
    """Close after the reply, without waiting for a body that will not come."""
    close_after(reply)
    if isinstance(request.protocol, HttpConnection):
        request.protocol.hang_up_soon()


def close_after(reply: web.StreamResponse) -> None:
    reply.force_close()
    reply.headers["Connection"] = "close"
