"""The progress of a request through the server."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web

from scheduler.common.ids import new_id


@dataclass(slots=True)
class Progress:
    """The state of one request.

    `started` is `time.monotonic()`; `invited` once the client was told to send the body; `begun` once the reply's
    headers are out. `caller`: who sent it, once that is known.
    """

    id: str
    started: float
    route: str = "none"
    invited: bool = False
    begun: bool = False
    caller: object = None


PROGRESS = web.RequestKey("progress", Progress)
MAX_REQUEST_ID = 200


def progress(request: web.BaseRequest) -> Progress:
    """The progress of a request, which begins with the first call."""
    if PROGRESS not in request:
        # The client's own id for the request, if it sent a usable one.
        sent = request.headers.get("x-request-id", "")
        usable = 0 < len(sent) <= MAX_REQUEST_ID and sent.isprintable()
        request[PROGRESS] = Progress(sent if usable else new_id(), time.monotonic())
    return request[PROGRESS]
