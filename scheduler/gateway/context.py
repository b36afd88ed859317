"""What a request handler is given.

A handler is a function of a `Call`: the request, its path in normal form, who asks, and
the `Context` that the whole gateway shares. Nothing is global, so a test builds a
`Context` of its own and has a whole gateway.

The gateway routes by path itself and hands two subtrees to others: the jobs API
(`job_routes`) and the agents' protocol (`agent_routes`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from scheduler.gateway.metrics import Metrics
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Database


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an account, or nobody. `job` is set when a task of that job asks with its token."""

    login: str | None = None
    job: str | None = None

    def __str__(self) -> str:
        return self.login or "anonymous"


ANONYMOUS = Caller()


@dataclass(slots=True)
class Context:
    """What all handlers share. `clock` gives milliseconds since the epoch; `secret` keys the tokens."""

    db: Database
    blobs: BlobStore
    clock: Callable[[], int]
    secret: bytes
    server_name: str
    agent_secret: str
    supervisor: Any = None
    job_routes: Handler | None = None
    agent_routes: Handler | None = None
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    `path` is normal (decoded, see `model.names`); `raw_path` is as sent, without the query;
    `query` maps each parameter to its last value.
    """

    request: web.BaseRequest
    path: str
    raw_path: str
    query: Mapping[str, str]
    caller: Caller
    context: Context

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def now(self) -> int:
        """The time in ms since the epoch."""
        return self.context.clock()


@dataclass(slots=True)
class Progress:
    """How far a request has come. `started` is `time.monotonic()`; `begun` once the reply's headers are out."""

    id: str
    started: float
    route: str = "none"
    invited: bool = False
    begun: bool = False


PROGRESS = web.RequestKey("progress", Progress)
MAX_REQUEST_ID = 200


def progress(request: web.BaseRequest) -> Progress:
    """The progress of a request, from the first time that anybody asks."""
    if PROGRESS not in request:
        # The client's own id for the request, if it sent a usable one.
        sent = request.headers.get("x-request-id", "")
        usable = 0 < len(sent) <= MAX_REQUEST_ID and sent.isprintable()
        request[PROGRESS] = Progress(sent if usable else str(uuid.uuid4()), time.monotonic())
    return request[PROGRESS]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]

__all__ = ["ANONYMOUS", "Call", "Caller", "Context", "Handler", "Progress", "progress"]
