"""Replies: JSON, errors in their one form, and the headers that every reply has."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from scheduler.common.display import compact
from scheduler.http.progress import progress
from scheduler.model.dates import rfc1123
from scheduler.model.errors import WireError

# Programs built on the stock client take any other value for a Manta without jobs.
SERVER = "Manta"


class Speaker(Protocol):
    """The server in whose name replies are sent, and its clock (milliseconds since the epoch)."""

    @property
    def server_name(self) -> str: ...
    @property
    def clock(self) -> Callable[[], int]: ...


def json_reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A reply with a JSON body and its MD5."""
    body = compact(value).encode("utf-8", "replace")
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    reply = web.Response(status=status, body=body, content_type="application/json", headers=headers)
    reply.headers["Content-MD5"] = digest
    return reply


def error_reply(error: WireError) -> web.Response:
    """The reply `{"code", "message"}` to an error, exactly."""
    return json_reply({"code": error.code, "message": error.message}, error.status, error.headers)


def add_common_headers(speaker: Speaker, request: web.BaseRequest, reply: web.StreamResponse) -> None:
    """Add the headers of every reply; must come before the reply is prepared."""
    at = progress(request)
    headers = reply.headers
    headers["Date"] = rfc1123(speaker.clock())
    headers["Server"] = SERVER
    headers["x-request-id"] = at.id
    headers["x-response-time"] = str(int((time.monotonic() - at.started) * 1000))
    headers["x-server-name"] = speaker.server_name
