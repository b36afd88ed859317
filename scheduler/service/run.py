"""Putting the parts together, and taking them apart in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import Counter, Gauge

from scheduler import log as json_log
from scheduler.gateway import agents, jobs
from scheduler.gateway.app import Runner, build_app
from scheduler.gateway.context import Context
from scheduler.gateway.tokens import Tokens
from scheduler.objects.blobs import BlobStore
from scheduler.objects.sweep import sweep
from scheduler.providers.containerd.machine import why_no_containers
from scheduler.providers.images import ImageStore
from scheduler.records.database import DatabaseError, open_database
from scheduler.service import first_account
from scheduler.service.agent_process import AgentOptions, keep_running
from scheduler.service.state import DATABASE, ServiceInfo, StateDir, StateError
from scheduler.supervisor.supervisor import Supervisor

log = logging.getLogger("remora.service")

MIN_SLOTS = 4
AGENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What `remora up` was told. `port` 0 picks a free one; `slots` None goes by the processors."""

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 8081
    login: str | None = None
    key: Path | None = None
    provider: str = "process"
    containerd: str | None = None  # the socket of one that runs already
    slots: int | None = None


def serve(options: ServiceOptions, on_ready: Callable[[ServiceInfo], None]) -> int:
    """Run a service in the foreground until SIGINT or SIGTERM; the exit status. Raises StateError."""
    json_log.setup()
    if options.provider == "containerd" and (why := why_no_containers(own_daemon=options.containerd is None)):
        raise StateError(why)
    state = StateDir(options.state_dir.absolute())
    try:
        asyncio.run(_serve(options, state, on_ready))
    finally:
        state.close()
    return 0


async def _serve(options: ServiceOptions, state: StateDir, on_ready: Callable[[ServiceInfo], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    began = clock()
    async with contextlib.AsyncExitStack() as stack:
        context = await stack.enter_async_context(_open_context(state))
        account = await first_account.ensure(context.db, state, options.login, options.key, clock())
        url = await stack.enter_async_context(_listen(context, options.host, options.port))
        slots = options.slots or max(MIN_SLOTS, 2 * (os.cpu_count() or 1))
        agent = AgentOptions(url, state.path, options.provider, slots, options.containerd)
        stack.push_async_callback(_end, asyncio.create_task(keep_running(agent)))
        stack.push_async_callback(_end, asyncio.create_task(_sweep(context, began)))
        await _first_of(context.supervisor.desk.arrived.wait(), stop.wait(), seconds=AGENT_SECONDS)
        instances = " ".join(context.supervisor.desk.providers())
        info = ServiceInfo(
            url, account.login, account.key_id, str(state.path), os.getpid(), account.key_file, instances
        )
        state.announce(info)
        log.info("service is up", extra={"url": url, "slots": slots, "instances": instances})
        if not stop.is_set():
            on_ready(info)
        await stop.wait()
        log.info("service stops")
        context.supervisor.let_go()


def clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def _open_context(state: StateDir) -> AsyncIterator[Context]:
    """Everything that the gateway shares, with the supervisor running."""
    secret = state.secret("token.secret").encode()
    agent_secret = state.secret("agent.secret")
    tokens = Tokens(secret)
    try:
        db = open_database(state.path / DATABASE)
    except DatabaseError as error:
        raise StateError(str(error)) from None
    blobs = BlobStore(state.path / "blobs")
    supervisor = Supervisor(db, blobs, clock, lambda login, job: tokens.issue(login, clock(), job))
    context = Context(db, blobs, clock, secret, socket.gethostname(), agent_secret, supervisor)
    context.job_routes, context.agent_routes = jobs.handle, agents.handle
    context.images = ImageStore(state.path / "images").offered
    _count(context, supervisor)
    await supervisor.start()
    try:
        yield context
    finally:
        await supervisor.stop()
        db.close()
        blobs.close()


def _count(context: Context, supervisor: Supervisor) -> None:
    """Metrics of jobs: outcomes of tasks, live jobs, ready tasks; disabled slots."""
    registry = context.metrics.registry
    outcomes = Counter("remora_task_outcomes", "Tasks by what became of them.", ("outcome",), registry=registry)
    supervisor.outcomes = lambda outcome, count: outcomes.labels(outcome).inc(count)
    Gauge("remora_jobs_live", "Jobs not archived yet.", registry=registry).set_function(lambda: len(supervisor.jobs))
    ready = Gauge("remora_tasks_ready", "Tasks waiting for an instance.", registry=registry)
    ready.set_function(lambda: supervisor.jobs.ready.total())
    disabled = Gauge("remora_instances_disabled", "Slots whose instances could not be ended.", registry=registry)
    disabled.set_function(supervisor.desk.disabled)


@contextlib.asynccontextmanager
async def _listen(context: Context, host: str, port: int) -> AsyncIterator[str]:
    """Serve HTTP; yields the URL. Raises StateError if the address cannot be had."""
    runner = Runner(build_app(context), shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StateError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    try:
        name, bound = runner.addresses[0][:2]
        yield f"http://[{name}]:{bound}" if ":" in name else f"http://{name}:{bound}"
    finally:
        await runner.cleanup()


async def _sweep(context: Context, began: int) -> None:
    """Remove what a crash has left in the blob directory. `began`: before anybody could reach us."""
    try:
        removed = await sweep(context.db, context.blobs, began)
    except Exception:
        log.exception("sweeping the blob directory failed")
    else:
        log.info("swept the blob directory", extra={"removed": removed})


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _first_of(*awaitables: Coroutine[Any, Any, object], seconds: float) -> None:
    tasks = [asyncio.create_task(each) for each in awaitables]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
