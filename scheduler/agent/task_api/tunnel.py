"""WebSockets of a task: the program of an interactive session attaches through the instance's endpoint, as any request.

The gateway where the user's terminal waits is not known here, and only that one can connect the two. So the gateways
are asked in turn, until one does not answer 404. Messages are copied both ways one at a time, without a queue
(`http.websocket`), and charged to the attempt.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.gateways import Gateways
from scheduler.agent.task_api.forward import CONNECT_SECONDS, forwarded_headers, url_at
from scheduler.agent.task_api.task_host import unavailable
from scheduler.http.progress import progress
from scheduler.http.websocket import MAX_MESSAGE_BYTES, Close, WebSocket, accept, pass_on, read_messages, reason_bytes
from scheduler.model.errors import WireError

SILENCE_SECONDS = 30.0
NOT_FOUND = 404


class Tunnels:
    """Connects WebSockets of tasks with a gateway."""

    def __init__(self, gateways: Gateways, session: aiohttp.ClientSession) -> None:
        self._gateways = gateways
        self._session = session

    async def serve(self, request: web.BaseRequest, token: str, attempt: Attempt) -> web.StreamResponse:
        """Serve an upgraded connection until either side ends it. Raises WireError if no gateway upgrades it."""
        refusal = unavailable()
        for gateway in self._gateways:
            try:
                outer = await self._connect(gateway, request, token)
            except aiohttp.WSServerHandshakeError as error:
                refusal = refused(request, error.status)
                if error.status != NOT_FOUND:
                    break
            except (aiohttp.ClientError, TimeoutError):
                self._gateways.failed(gateway)
            else:
                async with outer:
                    inner = await accept(request)
                    progress(request).begun = True
                    await relay(inner, outer, attempt)
                    return inner
        raise refusal

    async def _connect(self, gateway: str, request: web.BaseRequest, token: str) -> aiohttp.ClientWebSocketResponse:
        headers = forwarded_headers(request, token)
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            del headers[name]  # they are of the one connection; the other has its own
        async with asyncio.timeout(CONNECT_SECONDS):
            return await self._session.ws_connect(
                url_at(gateway, request.raw_path), headers=headers, autoping=False, max_msg_size=MAX_MESSAGE_BYTES
            )


def refused(request: web.BaseRequest, status: int) -> WireError:
    path = request.raw_path.partition("?")[0]
    return WireError(status, "UpgradeRefused", f"the service answered {status} to the upgrade of {path}")


async def relay(inner: web.WebSocketResponse, outer: aiohttp.ClientWebSocketResponse, attempt: Attempt) -> None:
    """Copy messages both ways until one side ends; then close the other with its reason."""

    async def out(message: aiohttp.WSMessage) -> None:
        attempt.sent += len(message.data)
        await pass_on(message, outer)

    async def back(message: aiohttp.WSMessage) -> None:
        attempt.received += len(message.data)
        await pass_on(message, inner)

    from_task = asyncio.create_task(read_messages(inner, out, SILENCE_SECONDS))
    from_gateway = asyncio.create_task(read_messages(outer, back, SILENCE_SECONDS))
    both = (from_task, from_gateway)
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        close = next(iter(done))
        code, reason = Close() if close.exception() else close.result()
        other: WebSocket = outer if from_task in done else inner
        await other.close(code=code, message=reason_bytes(reason))
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
