"""WebSockets that are passed on to another server of ours: a task's by its agent, an agent's by another gateway.

Messages are copied both ways one at a time, without a queue (`http.websocket`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web
from yarl import URL

from scheduler.http.websocket import MAX_MESSAGE_BYTES, RESET, Close, WebSocket, pass_on, read_messages, reason_bytes

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
Count = Callable[[int], object]  # of bytes


def url_at(server: str, target: str) -> URL:
    """The URL of a request's target at a server.

    The parts are never joined as text: a target cannot change the host.
    """
    path, _, query = target.partition("?")
    base = URL(server)
    return URL.build(
        scheme=base.scheme, host=base.host or "", port=base.port, path=path, query_string=query, encoded=True
    )


async def connect(
    session: aiohttp.ClientSession,
    server: str,
    request: web.BaseRequest,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | bool = True,
) -> aiohttp.ClientWebSocketResponse:
    """Ask a server for the same upgrade. Raises WSServerHandshakeError if it refuses, ClientError, TimeoutError.

    Headers that are of one WebSocket connection are left out: the other has its own.
    """
    own = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket-")}
    async with asyncio.timeout(CONNECT_SECONDS):
        return await session.ws_connect(
            url_at(server, request.raw_path), headers=own, autoping=False, max_msg_size=MAX_MESSAGE_BYTES, ssl=tls
        )


async def relay(
    inner: web.WebSocketResponse,
    outer: aiohttp.ClientWebSocketResponse,
    sent: Count = int,
    received: Count = int,
    broken: Callable[[], Awaitable[Close]] | None = None,
) -> None:
    """Copy messages both ways until one side ends; then close the other with its reason.

    `broken`: the reason of the inner side, if that just broke off.
    """

    async def out(message: aiohttp.WSMessage) -> None:
        sent(len(message.data))
        await pass_on(message, outer)

    async def back(message: aiohttp.WSMessage) -> None:
        received(len(message.data))
        await pass_on(message, inner)

    from_inner = asyncio.create_task(read_messages(inner, out, SILENCE_SECONDS))
    from_outer = asyncio.create_task(read_messages(outer, back, SILENCE_SECONDS))
    both = (from_inner, from_outer)
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        first = next(iter(done))
        failed = first.exception() is not None  # to write to the other side, which has broken off
        close = RESET if failed else first.result()
        inner_ended = (first is from_inner) != failed
        if inner_ended and close is RESET and broken is not None:
            close = await broken()
        other: WebSocket = outer if inner_ended else inner
        await other.close(code=close.code, message=reason_bytes(close.reason))
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
