"""A gateway, or a supervisor, as a process of its own: any number of each share one database and one object store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from scheduler import log as json_log
from scheduler.common import descriptors
from scheduler.common.addresses import EVERYWHERE
from scheduler.common.process import collect_seldom
from scheduler.common.watchdog import watched
from scheduler.model.credentials.secrets import keys_of
from scheduler.model.tiers import IMAGES
from scheduler.service import own_objects, parts
from scheduler.service.nomad import reserving
from scheduler.service.settings import RoleOptions, advertised, own_address
from scheduler.service.state import StateError
from scheduler.supervisor.runner import SupervisorRunner

log = logging.getLogger("remora.service")

OnReady = Callable[[str], None]


def serve_gateway(options: RoleOptions, on_ready: OnReady) -> int:
    """Run a gateway until SIGINT or SIGTERM; the exit status. `on_ready` is told its URL. Raises StateError."""
    return _run(_gateway(options, on_ready))


def serve_supervisor(options: RoleOptions, on_ready: OnReady) -> int:
    """Run a supervisor until SIGINT or SIGTERM; the exit status. `on_ready` is told its URL. Raises StateError."""
    if options.host in EVERYWHERE:
        advertised(options.advertise, options.host, "", options.tls)
    if options.tls is not None and options.tls.authority is None:
        raise StateError("--tls-ca is missing: a supervisor asks agents for certificates, of which authority?")
    return _run(_supervisor(options, on_ready))


def _run(service: Awaitable[None]) -> int:
    async def serve() -> None:
        await service

    json_log.setup()
    descriptors.raise_limit()
    collect_seldom()
    asyncio.run(serve())
    return 0


async def _gateway(options: RoleOptions, on_ready: OnReady) -> None:
    """Serve users' requests, and tell agents which supervisors are live."""
    stop = parts.stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(parts.opened(options.database, options.objects))
        recorded_jobs = stack.enter_context(parts.recorded(store))
        offered = {*IMAGES, *options.images}
        logs = stack.enter_context(parts.logging_to(options.log_files))
        context = parts.context_of(
            store, options.secrets, guard=options.guard, images=lambda: offered, service=recorded_jobs, logs=logs
        )
        stack.enter_context(watched("gateway", context.metrics.stalls.count))
        await own_objects.ensure(context)
        tls = await stack.enter_async_context(parts.identified(context, options.tls))
        limits = parts.bounded(context, options.connections)
        url = await stack.enter_async_context(parts.listening(context, options.host, options.port, limits, tls))
        context.sessions.address, context.sessions.tls = (
            own_address(options.advertise, options.host, url, options.database),
            tls.asking if tls else True,
        )
        log.info("gateway is up", extra={"url": url})
        on_ready(options.advertise or url)
        await stop.wait()
        log.info("gateway stops")
        await context.sessions.close()
        recorded_jobs.close()


async def _supervisor(options: RoleOptions, on_ready: OnReady) -> None:
    """Own jobs; serve agents' requests, health, and metrics."""
    stop = parts.stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(parts.opened(options.database, options.objects))
        runner = SupervisorRunner()
        context = parts.context_of(
            store, options.secrets, guard=options.guard, public=False, supervisor=lambda: runner.current
        )
        stack.enter_context(watched("supervisor", context.metrics.stalls.count))
        tls = await stack.enter_async_context(parts.identified(context, options.tls))
        limits = parts.bounded(context, options.connections)
        bound = await stack.enter_async_context(parts.listening(context, options.host, options.port, limits, tls))
        url = advertised(options.advertise, options.host, bound)
        key = keys_of(options.secrets.agent)[-1]
        reserve = await stack.enter_async_context(reserving(key)) if options.nomad else None
        await stack.enter_async_context(parts.supervising(context, runner, url, alone=False, reserve=reserve))
        sweeping = asyncio.create_task(parts.sweep_forever(context, runner))
        expiring = asyncio.create_task(parts.expire_forever(context, runner, options.keep_jobs_s))
        await stack.enter_async_context(parts.background(sweeping, expiring))
        log.info("supervisor is up", extra={"url": url, "supervisor": runner.supervisor.id})
        on_ready(url)
        await stop.wait()
        log.info("supervisor stops")
        runner.supervisor.let_go()
