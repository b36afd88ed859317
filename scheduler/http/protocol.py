"""Protocol errors: broken HTTP, answered before there is a request.

Input that the parser refuses (a line that is too long, a malformed header) never reaches a handler,
and a body that ends early reaches it as an exception. Both must still be answered in the common
form of all errors, and with the common headers. aiohttp has a class per connection that does this
in its own way; the subclass here overrides it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from scheduler.http.limits import ConnectionLimits, LimitedHandler
from scheduler.http.replies import Speaker, add_common_headers, error_reply
from scheduler.model.errors import WireError, bad_request, headers_too_large, internal_error

log = logging.getLogger(__name__)


# Bytes read ahead; seconds that a connection may be without a request.
READ_BUFFER = 256 * 1024
# Bytes of one read from a socket.
MUCH_BYTES = 256 * 1024
LITTLE_BYTES = 8 * 1024
IDLE_SECONDS = 120.0
WRITE_SECONDS = 45.0  # until a client has read what is buffered for it
# The number of refusals in a row after which a connection ends.
MAX_REFUSALS = 50
REFUSALS = frozenset({400, 401, 403, 405})


class HttpConnection(LimitedHandler):
    """The connection of one client."""

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self.speaker = manager.speaker
        self._newest_body: StreamReader = EMPTY_PAYLOAD
        self._refusals = 0
        self._drops = False
        self.caller: str | None = None  # who sent the last request, once that was known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.read_much(False)

    def read_much(self, much: bool) -> None:
        """Read in large pieces, for large bodies, or in small ones, fair to the other connections of this loop.

        A piece is parsed in one step, and a body in chunks of one byte takes 1 µs a byte.
        """
        if self.transport is not None:
            self.transport.max_size = MUCH_BYTES if much else LITTLE_BYTES  # type: ignore[attr-defined]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The reply to input that never became a request. The connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("a reply has begun already")
        reply = error_reply(self._explain(status, exc, message))
        add_common_headers(self.speaker, request, reply)
        reply.force_close()
        return reply

    def _explain(self, status: int, exc: BaseException | None, message: str | None) -> WireError:
        if isinstance(exc, LineTooLong):
            return headers_too_large()
        if status < 500:
            why = (message or "it cannot be parsed").splitlines()[0].rstrip(":")
            return bad_request(f"not a valid HTTP request: {why}")
        log.error("request failed outside of its handler", exc_info=exc)
        return internal_error()

    def data_received(self, data: bytes) -> None:
        """Parse data, unless the rest of the connection is dropped."""
        if self._drops:
            return
        super().data_received(data)
        self._refuse_other_versions()
        if self._messages:
            self._newest_body = self._messages[-1][1]

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume only if reading is paused: a body calls this once for each chunk of its encoding."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _refuse_other_versions(self) -> None:
        """Refuse versions other than 1.0 and 1.1: the parser takes any number, and the reply would repeat it."""
        for place, (message, _) in enumerate(self._messages):
            if isinstance(message, RawRequestMessage) and message.version not in (HttpVersion10, HttpVersion11):
                version = f"HTTP/{message.version.major}.{message.version.minor}"
                refusal = BadHttpMessage(f"{version} is not spoken here, HTTP/1.1 is")
                self._messages[place] = _ErrInfo(400, refusal, refusal.message), EMPTY_PAYLOAD

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that closes its sending side in the middle of a body: it still reads."""
        if self._newest_body.is_eof():
            return None
        self._newest_body.set_exception(web.RequestPayloadError("the body ended early"))
        self._newest_body.feed_eof()
        self.close()
        return True

    def log_exception(self, *words: Any, **more: Any) -> None:
        """Log nothing for a body that ended early and was no longer read: that is no error."""
        if not isinstance(more.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*words, **more)

    def is_last_refusal(self, status: int) -> bool:
        """Whether a reply with this status is one refusal too many."""
        self._refusals = self._refusals + 1 if status in REFUSALS else 0
        return self._refusals >= MAX_REFUSALS

    def drop_rest(self) -> None:
        """Ignore all further data without parsing it. The connection has to end with the reply."""
        self._drops = True

    async def _drain_helper(self) -> None:
        """Wait until the client has read; abort if it reads nothing for too long."""
        if not self._paused:
            return await super()._drain_helper()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await super()._drain_helper()
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionResetError("the client takes nothing") from None

    def hang_up_soon(self) -> None:
        """Do not wait for a body that was never asked for."""
        self._lingering_time = 0.0


class HttpServer(web.Server):
    """Makes a `HttpConnection` per client; `limits` are those of the listener that accepted it."""

    def __init__(self, speaker: Speaker, plain: web.Server, limits: ConnectionLimits | None = None) -> None:
        super().__init__(plain.request_handler, request_factory=plain.request_factory, **plain._kwargs)
        self.speaker = speaker
        self._limits = limits

    def __call__(self) -> web.RequestHandler:
        return HttpConnection(self, limits=self._limits, loop=self._loop, **self._kwargs)
