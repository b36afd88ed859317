"""Passing a request on to the gateway, with the job's credentials in place of the task's.

Headers go through as they came, except those that concern one connection only and those
that say who asks. Bodies are piped, not held. A client that waits for `100 Continue` is told
to go on when the gateway wants the body, and not before: the gateway may refuse first.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from scheduler.model.errors import WireError
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import BlobStore

OF_CONNECTION = frozenset(["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
OURS = frozenset(["authorization", "content-length", "expect", "host", "proxy-authorization"])
FOR_US = frozenset(["x-manta-stream", "x-manta-reducer", "x-manta-reference"])
NOT_FORWARDED = OF_CONNECTION | OURS | FOR_US
IDLE_SECONDS = 60.0
NO_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")


class Forwarder:
    """Sends requests to one gateway."""

    def __init__(self, url: str, session: aiohttp.ClientSession, blobs: BlobStore) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._blobs = blobs

    async def __call__(self, request: web.BaseRequest, token: str, own: BlobRef | None) -> web.StreamResponse:
        """The gateway's answer; `own` is the blob to serve when the gateway does not know the object.

        Raises WireError if the gateway cannot be asked.
        """
        try:
            async with self._session.request(
                request.method,
                URL(self._url + request.raw_path, encoded=True),
                headers=forwarded_headers(request, token),
                data=body_of(request) if has_body(request) else None,
                expect100=expects_continue(request),
                allow_redirects=False,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=IDLE_SECONDS),
            ) as reply:
                if reply.status == 404 and own is not None:
                    return self._serve(own)
                return await pass_back(request, reply)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise WireError(503, "ServiceUnavailable", "the service does not answer, try again") from error

    def _serve(self, blob: BlobRef) -> web.StreamResponse:
        headers = {"Content-Type": "application/octet-stream", "Etag": blob.id}
        if blob.md5:
            headers["Content-MD5"] = blob.md5
        if blob.size == 0:
            return web.Response(headers=headers)
        return web.FileResponse(self._blobs.path(blob.id), headers=headers)


def has_body(request: web.BaseRequest) -> bool:
    return request.can_read_body or (request.method not in NO_BODY and request.content_length is not None)


def expects_continue(request: web.BaseRequest) -> bool:
    return request.headers.get("Expect", "").lower() == "100-continue"


async def body_of(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The body, piece by piece, after telling a client that waits to go on."""
    await invite(request)
    async for chunk in request.content.iter_any():
        yield chunk


async def invite(request: web.BaseRequest) -> None:
    if expects_continue(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what counts as output from here on is the reply


def forwarded_headers(request: web.BaseRequest, token: str) -> CIMultiDict[str]:
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in NOT_FORWARDED)
    headers["Authorization"] = f"Token {token}"
    if request.content_length is not None and has_body(request):
        headers["Content-Length"] = str(request.content_length)
    return headers


async def pass_back(request: web.BaseRequest, reply: aiohttp.ClientResponse) -> web.StreamResponse:
    answer = web.StreamResponse(status=reply.status, reason=reply.reason)
    for name, value in reply.headers.items():
        if name.lower() not in OF_CONNECTION:
            answer.headers.add(name, value)
    await answer.prepare(request)
    async for chunk in reply.content.iter_any():
        await answer.write(chunk)
    await answer.write_eof()
    return answer


def error_reply(request: web.BaseRequest, error: WireError) -> web.Response:
    body = json.dumps({"code": error.code, "message": error.message}, ensure_ascii=False)
    answer = web.Response(status=error.status, body=body.encode(), content_type="application/json")
    if expects_continue(request):
        answer.force_close()  # the body that it holds back may come now, or may not
    return answer
