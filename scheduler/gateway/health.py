"""Whether the service works, and how much it did: `/ping`, `/healthz`, `/metrics`."""

from __future__ import annotations

import asyncio
import os

from aiohttp import web

from scheduler.gateway.context import Call, Context, Handler
from scheduler.http.replies import json_reply
from scheduler.model.errors import method_not_allowed
from scheduler.records.database import Connection

# A database that is away is waited for by everybody else.
PATIENCE_SECONDS = 2.0


def require_reading(call: Call) -> None:
    if call.method not in ("GET", "HEAD"):
        raise method_not_allowed(call.method)


async def ping(call: Call) -> web.StreamResponse:
    """The server answers at all."""
    require_reading(call)
    return web.Response()


async def healthz(call: Call) -> web.StreamResponse:
    """The database answers and the blob directory takes files: 200, else 503 with what does not work."""
    require_reading(call)
    checks = {"database": await check_database(call.context), "blobs": await check_blobs(call.context)}
    healthy = all(problem is None for problem in checks.values())
    report = {name: problem or "ok" for name, problem in checks.items()}
    return json_reply({"status": "ok" if healthy else "failing", **report}, 200 if healthy else 503)


async def check_database(context: Context) -> str | None:
    """What is wrong with the database, if anything. An empty transaction goes through the writer too."""

    def look(c: Connection) -> None:
        c.one("find_account", login="")

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await context.db.read(look)
            await context.db.write(look)
    except TimeoutError:
        return f"the database has not answered for {PATIENCE_SECONDS:g} seconds"
    except Exception as error:
        return str(error)
    return None


async def check_blobs(context: Context) -> str | None:
    """What is wrong with the blob directory, if anything."""
    try:
        os.close(await asyncio.to_thread(context.blobs.create))
    except OSError as error:
        return f"cannot create a blob: {error.strerror}"
    return None


async def metrics(call: Call) -> web.StreamResponse:
    """Counters in Prometheus' text format."""
    require_reading(call)
    return web.Response(body=call.context.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


ROUTES: dict[str, Handler] = {"/ping": ping, "/healthz": healthz, "/metrics": metrics}
