"""The proxy from an instance's endpoint to the gateway, which adds the job's credentials.

Headers are forwarded unchanged, except hop-by-hop headers and those that identify the client.
Bodies are streamed. A client that waits for `100 Continue` gets it when the gateway asks for the
body, and not before: the gateway may refuse first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.gateways import Gateways
from scheduler.agent.task_api.own_outputs import send_input
from scheduler.agent.task_api.task_host import unavailable
from scheduler.http import answering
from scheduler.http.body import expects_continue, invite, next_chunk
from scheduler.http.upstream import CONNECT_SECONDS, url_at
from scheduler.model.errors import WireError
from scheduler.model.wire import BlobRef

OF_CONNECTION = frozenset(["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
OURS = frozenset(["authorization", "content-length", "expect", "host", "proxy-authorization"])
FOR_US = frozenset(["x-manta-stream", "x-manta-reducer", "x-manta-reference"])
NOT_FORWARDED = OF_CONNECTION | OURS | FOR_US
# Longer than the gateway is ever silent: it answers a poll for news of a job after a minute.
SILENCE_SECONDS = 120.0
NO_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")


class Body:
    """The body of a request on its way to the gateway; `problem` says why the task did not send all of it."""

    def __init__(self, request: web.BaseRequest, attempt: Attempt) -> None:
        self.problem: WireError | None = None
        self.attempt = attempt
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await invite(self._request)
        try:
            while chunk := await next_chunk(self._request):
                self.attempt.sent += len(chunk)
                yield chunk
        except WireError as problem:
            self.problem = problem
            raise


class Forwarder:
    """Forwards requests to a gateway; to the next one if it cannot be reached, but never the same request to two."""

    def __init__(self, gateways: Gateways, session: aiohttp.ClientSession, stores: Stores) -> None:
        self._gateways = gateways
        self._session = session
        self._stores = stores

    async def __call__(
        self, request: web.BaseRequest, token: str, attempt: Attempt, own: BlobRef | None
    ) -> web.StreamResponse:
        """The gateway's answer; `own` is the blob to serve when the gateway does not know the object.

        `attempt` is charged. Raises WireError if no gateway can be reached.
        """
        body = Body(request, attempt)
        for gateway in self._gateways:
            try:
                return await self._pass_on(gateway, request, token, body, own)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):  # nothing was sent
                self._gateways.failed(gateway)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise body.problem or unavailable() from error
        raise unavailable()

    async def _pass_on(
        self, gateway: str, request: web.BaseRequest, token: str, body: Body, own: BlobRef | None
    ) -> web.StreamResponse:
        attempt = body.attempt
        async with self._session.request(
            request.method,
            url_at(gateway, request.raw_path),
            headers=forwarded_headers(request, token),
            data=body if has_body(request) else None,
            expect100=expects_continue(request),
            allow_redirects=False,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        ) as reply:
            if reply.status == 404 and own is not None and (served := await self._serve(request, own, attempt)):
                return served
            return await pass_back(request, reply, attempt)

    async def _serve(self, request: web.BaseRequest, own: BlobRef, attempt: Attempt) -> web.StreamResponse | None:
        """The answer with `own`; None if its bytes are gone: an object may have been deleted since the task began."""
        try:
            return await send_input(self._stores, attempt, own, request)
        except FileNotFoundError:
            return None


def has_body(request: web.BaseRequest) -> bool:
    """Whether a request has a body. For one without, aiohttp would announce zero bytes: an error for new metadata."""
    return request.can_read_body or request.method not in NO_BODY


def forwarded_headers(request: web.BaseRequest, token: str) -> CIMultiDict[str]:
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in NOT_FORWARDED)
    headers["Authorization"] = f"Token {token}"
    if request.content_length is not None and has_body(request):
        headers["Content-Length"] = str(request.content_length)
    return headers


async def pass_back(request: web.BaseRequest, reply: aiohttp.ClientResponse, attempt: Attempt) -> web.StreamResponse:
    """Stream the gateway's reply back to the client, and charge the attempt for its bytes."""
    answer = web.StreamResponse(status=reply.status, reason=reply.reason)
    for name, value in reply.headers.items():
        if name.lower() not in OF_CONNECTION:
            answer.headers.add(name, value)
    answering.go_out(request, answer)
    await answer.prepare(request)
    async for chunk in reply.content.iter_any():
        attempt.received += len(chunk)
        await answer.write(chunk)
    await answer.write_eof()
    return answer
