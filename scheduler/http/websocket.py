"""WebSockets (RFC 6455): connections that a request turns into two streams of messages.

A message is taken from one connection only when the one before has been handed on, and each connection holds few bytes
in either direction: `MAX_MESSAGE_BYTES` of a message, 64 KiB before and behind it. Then the kernel's buffers fill, and
the sender waits. So a flood costs no memory, however slow its reader.

Published clients of Manta send no `Sec-WebSocket-Version`, which the library demands; a missing one counts as 13. They
also want `Connection: upgrade` as the whole header, and no extensions.

A peer that has been silent for `seconds` is asked by a ping; without an answer for as long again, it is lost. A peer is
asked only while this process waits for it: one that is not read, because its reader is slow, is not lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web

from scheduler.model.errors import expected_upgrade

MAX_MESSAGE_BYTES = 96 * 1024
CLOSE_SECONDS = 2.0  # for the peer's half of a close
MAX_REASON_BYTES = 123
VERSION = "13"

Take = Callable[[WSMessage], Awaitable[None]]


class WebSocket(Protocol):
    """Either end of a connection, as aiohttp has it."""

    async def receive(self, timeout: float | None = None) -> WSMessage: ...
    async def ping(self, message: bytes = b"") -> None: ...
    async def pong(self, message: bytes = b"") -> None: ...
    async def send_str(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self, *, code: int, message: bytes) -> bool: ...


class Close(NamedTuple):
    """The way a connection ended: the code and the reason that its peer gave."""

    code: int = WSCloseCode.OK
    reason: str = ""


RESET = Close(WSCloseCode.INTERNAL_ERROR, "remote connection reset")
LOST = Close(WSCloseCode.INTERNAL_ERROR, "remote connection error")
TOO_BIG = Close(WSCloseCode.MESSAGE_TOO_BIG, f"a message has at most {MAX_MESSAGE_BYTES} bytes")


def wants_upgrade(request: web.BaseRequest) -> bool:
    """Whether a request asks for a WebSocket."""
    listed = request.headers.get(hdrs.CONNECTION, "").lower().split(",")
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket" and "upgrade" in map(str.strip, listed)


async def accept(request: web.BaseRequest) -> web.WebSocketResponse:
    """Answer with 101; the connection. Raises WireError for a request that asks for no WebSocket, or wrongly."""
    socket = web.WebSocketResponse(
        timeout=CLOSE_SECONDS, autoping=False, compress=False, max_msg_size=MAX_MESSAGE_BYTES
    )
    try:
        await socket.prepare(versioned(request))
    except web.HTTPBadRequest:
        raise expected_upgrade(request.raw_path.partition("?")[0]) from None
    return socket


def versioned(request: web.BaseRequest) -> web.BaseRequest:
    """The request with a version, if it has none."""
    if hdrs.SEC_WEBSOCKET_VERSION in request.headers:
        return request
    headers = request.headers.copy()
    headers[hdrs.SEC_WEBSOCKET_VERSION] = VERSION
    return request.clone(headers=headers)


async def read_messages(socket: WebSocket, take: Take, seconds: float) -> Close:
    """Give each message of a peer to `take`; returns how the connection ended. `seconds` of silence are allowed.

    Raises ConnectionError if `take` does.
    """
    asked = False
    while True:
        try:
            message = await socket.receive(timeout=seconds)
        except TimeoutError:
            if asked:
                return LOST
            asked = True
            await socket.ping()
            continue
        asked = False
        if message.type is WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await take(message)
        elif message.type is not WSMsgType.PONG:
            return ended(message)


def ended(message: WSMessage) -> Close:
    """The end that a message stands for: a CLOSE of the peer, or an error of the connection."""
    if message.type is WSMsgType.CLOSE:
        return Close(message.data or WSCloseCode.OK, message.extra or "")
    code = getattr(message.data, "code", None)
    return TOO_BIG if code == WSCloseCode.MESSAGE_TOO_BIG else RESET


async def pass_on(message: WSMessage, to: WebSocket) -> None:
    """Send a message unchanged. Returns when its connection takes more; raises ConnectionError if it is closed."""
    if message.type is WSMsgType.TEXT:
        await to.send_str(message.data)
    else:
        await to.send_bytes(message.data)


def reason_bytes(reason: str) -> bytes:
    """A reason as a close has room for."""
    return reason.encode()[:MAX_REASON_BYTES]
