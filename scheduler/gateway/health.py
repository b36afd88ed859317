"""Health and metrics: `/ping`, `/healthz`, `/metrics`.

Health is public, since load balancers and orchestrators have no key. Metrics, and the reasons why the service is
unhealthy, are for its operator (`http.operator`).
"""

from __future__ import annotations

import asyncio
import os

from aiohttp import web

from scheduler.common.disk_reserve import sized, space_at
from scheduler.gateway.context import Call, Context, Handler
from scheduler.http.operator_access import METRICS_TYPE, is_operator
from scheduler.http.replies import json_reply
from scheduler.model.errors import authorization_failed, method_not_allowed
from scheduler.records.database import Connection

# A health check does not wait for an unreachable database as long as other requests do.
PATIENCE_SECONDS = 2.0


def require_reading(call: Call) -> None:
    if call.method not in ("GET", "HEAD"):
        raise method_not_allowed(call.method)


async def ping(call: Call) -> web.StreamResponse:
    """Answer that the server accepts requests."""
    require_reading(call)
    return web.Response()


async def healthz(call: Call) -> web.StreamResponse:
    """Answer 200 if the service is healthy, else 503, and to the operator the reason.

    Healthy means: the database answers, the blob directory takes files, and the disk has more free space than its
    reserve.
    """
    require_reading(call)
    context = call.context
    checking = context.health.checking
    if checking is None or checking.done():
        checking = context.health.checking = asyncio.create_task(check(context))
    report = await asyncio.shield(checking)
    healthy = all(found == "ok" for found in report.values())
    details = report if is_operator(call.request, context.guard.metrics_token) else {}
    return json_reply({"status": "ok" if healthy else "failing", **details}, 200 if healthy else 503)


async def check(context: Context) -> dict[str, str]:
    """The state of each part of the service: `ok`, or the reason why it is unhealthy."""
    found = {
        "database": await check_database(context),
        "blobs": await check_blobs(context),
        "disk": await asyncio.to_thread(check_disk, context),
    }
    return {name: problem or "ok" for name, problem in found.items()}


async def check_database(context: Context) -> str | None:
    """The reason why the database is unhealthy; None if it is healthy. An empty transaction tests the writer too."""

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
    """The reason why the blob directory is unhealthy; None if it is healthy."""
    try:
        os.close(await asyncio.to_thread(context.blobs.create))
    except OSError as error:
        return f"cannot create a blob: {error.strerror}"
    return None


def check_disk(context: Context) -> str | None:
    """Which file system, of objects or records, has too little free space; None if both have enough."""
    places = [place for place in (context.blobs.root, context.db.directory) if place is not None]
    try:
        short = next((space for space in map(space_at, places) if space.short), None)
    except OSError as error:
        return f"cannot tell what is free: {error.strerror}"
    return None if short is None else f"{short}, and {sized(short.reserve)} must be: make room"


async def metrics(call: Call) -> web.StreamResponse:
    """Answer with counters in Prometheus' text format."""
    require_reading(call)
    if not is_operator(call.request, call.context.guard.metrics_token):
        raise authorization_failed("anonymous", call.path)
    return web.Response(body=call.context.metrics.text(), headers={"Content-Type": METRICS_TYPE})


ROUTES: dict[str, Handler] = {"/ping": ping, "/healthz": healthz, "/metrics": metrics}
