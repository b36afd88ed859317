"""The components of a service, each open for the length of a block; `run` and `roles` combine them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from aiohttp import web
from prometheus_client import Counter

from scheduler.audit import Logs
from scheduler.common import metrics
from scheduler.common.addresses import cannot_listen
from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.app import Runner
from scheduler.gateway.context import Context, Guard
from scheduler.http.limits import ConnectionLimits
from scheduler.objects.blobs import BlobStore
from scheduler.objects.sweep import sweep
from scheduler.records.database import Database, DatabaseError, open_database
from scheduler.service.listeners import BY_DESCRIPTORS, Connections, open_listeners
from scheduler.service.operators import supervisor_metrics
from scheduler.service.state import StateError
from scheduler.supervisor.job_services import JobService, RecordedJobService
from scheduler.supervisor.jobs.expiry import delete_expired
from scheduler.supervisor.ports import Ports
from scheduler.supervisor.runner import SupervisorRunner
from scheduler.supervisor.supervisor import Reserve, Supervisor
from scheduler.tls.identity import Identity, TlsError, TlsFiles

log = logging.getLogger("remora.service")

# On a store that processes share, a blob without a name may still get one when the task ends that wrote it. So the
# sweep spares blobs that are younger than the longest task should run (ms).
YOUNG_MS = 7 * 86_400_000
SWEEP_SECONDS = 6 * 3600.0
# Seconds between two searches for jobs whose retention has ended.
EXPIRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one service: the key of its tokens, and the key of its nodes' credentials."""

    token: bytes
    agent: str


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The files of the audit and the access log; None: it is not written. `access_as_text`: not as JSON."""

    audit: Path | None = None
    access: Path | None = None
    access_as_text: bool = False


NO_LOG_FILES = LogFiles()


class Choices(TypedDict, total=False):
    """The members of a context that differ by the kind of process."""

    supervisor: Callable[[], Supervisor | None]
    images: Callable[[], Collection[str]]
    service: JobService
    public: bool
    guard: Guard
    no_agent: Callable[[], str | None]
    logs: Logs


@dataclass(frozen=True, slots=True)
class Store:
    """Records and objects, open."""

    db: Database
    blobs: BlobStore


def clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.contextmanager
def opened(database: str | Path, objects: Path, ballast: bool = True) -> Iterator[Store]:
    """Open records and objects. Raises StateError."""
    try:
        db = open_database(database, ballast)
    except DatabaseError as error:
        raise StateError(str(error)) from None
    try:
        blobs = BlobStore(objects)
    except OSError as error:
        db.close()
        raise StateError(f"cannot keep objects in {objects}: {error.strerror}") from None
    try:
        yield Store(db, blobs)
    finally:
        db.close()
        blobs.close()


def context_of(store: Store, secrets: Secrets, **more: Unpack[Choices]) -> Context:
    """What the handlers of this process share."""
    context = Context(store.db, store.blobs, clock, secrets.token, socket.gethostname(), secrets.agent, **more)
    metrics.register(context.metrics.registry, {"objects": store.blobs.root, "records": store.db.directory})
    return context


@contextlib.contextmanager
def logging_to(options: LogFiles) -> Iterator[Logs]:
    """The audit and the access log of this process. Raises StateError if a file cannot be used."""
    try:
        logs = Logs(options.audit, options.access, options.access_as_text)
    except OSError as error:
        raise StateError(f"cannot log to {error.filename}: {error.strerror}") from None
    try:
        yield logs
    finally:
        logs.close()


def bounded(context: Context, connections: Connections) -> ConnectionLimits:
    """The bounds on the connections of all addresses that this process listens on."""
    limits = connections.limits()
    context.metrics.connections(limits)
    return limits


@contextlib.asynccontextmanager
async def listening(
    context: Context,
    host: str,
    port: int,
    limits: ConnectionLimits | None = None,
    tls: Identity | None = None,
    shared: bool = False,
) -> AsyncIterator[str]:
    """Serve HTTP, or HTTPS; yields the URL. Raises StateError if the address cannot be used.

    `shared`: other processes of this user may listen there too.
    """
    limits = limits or BY_DESCRIPTORS.limits()
    runner = Runner(context, shutdown_timeout=2.0, limits=limits)
    await runner.setup()
    try:
        for listener in await open_listeners(host, port, limits, shared):
            await web.SockSite(runner, listener, ssl_context=tls.serving if tls else None).start()
    except OSError as error:
        await runner.cleanup()
        raise StateError(cannot_listen(host, port, error)) from None
    try:
        name, bound = runner.addresses[0][:2]
        yield f"{'https' if tls else 'http'}://{f'[{name}]' if ':' in name else name}:{bound}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def identified(context: Context, files: TlsFiles | None) -> AsyncIterator[Identity | None]:
    """The certificate of this process, read again on SIGHUP; None if it has none. Raises StateError."""
    if files is None:
        yield None
        return
    try:
        identity = Identity(files)
    except TlsError as error:
        raise StateError(str(error)) from None
    metrics.certificate(context.metrics.registry, lambda: identity.expires)
    async with background(asyncio.create_task(identity.watch())):
        yield identity


@contextlib.contextmanager
def recorded(store: Store) -> Iterator[RecordedJobService]:
    """Accept users' jobs by records: their supervisor may be in any process."""
    jobs = RecordedJobService(store.db, clock)
    jobs.open()
    try:
        yield jobs
    finally:
        jobs.close()


@contextlib.asynccontextmanager
async def supervising(
    context: Context, runner: SupervisorRunner, url: str, alone: bool, reserve: Reserve | None = None
) -> AsyncIterator[None]:
    """Run supervisors in this process, one after the other, which agents find at `url`.

    `alone`: no other process uses this database. `reserve` is how they reserve instances, if they do.
    """
    tokens = Tokens(context.secret)
    registry = context.metrics.registry
    outcomes = Counter("remora_task_outcomes", "Tasks by what became of them.", ("outcome",), registry=registry)
    placed = Counter(
        "remora_map_tasks_placed",
        "Map tasks with an intermediate as input, by whether they went to the node that has it.",
        ("where",),
        registry=registry,
    )

    def issue(login: str, job: str, node: str) -> str:
        return tokens.issue(login, context.clock(), job, node=node)

    finished = Counter("remora_jobs_finished", "Jobs that were archived.", ("result",), registry=registry)
    ports = Ports(
        count_job=lambda result: finished.labels(result).inc(),
        count_outcome=lambda outcome, count: outcomes.labels(outcome).inc(count),
        count_placed=lambda where, count: placed.labels(where).inc(count),
        why_no_agent=lambda: context.no_agent(),
    )

    def make() -> Supervisor:
        return Supervisor(context.db, context.blobs, context.clock, issue, url, alone, reserve=reserve, ports=ports)

    await runner.start(make)
    sampling = asyncio.create_task(
        supervisor_metrics.sample_forever(context, supervisor_metrics.measure(context, runner))
    )
    try:
        async with background(sampling):
            yield
    finally:
        await runner.stop()


async def sweep_once(context: Context, before: int) -> None:
    """Remove the blobs that crashes have left in the blob directory since before `before` (ms since the epoch)."""
    try:
        removed = await sweep(context.db, context.blobs, before)
    except Exception:
        log.exception("sweeping the blob directory failed")
    else:
        log.info("swept the blob directory", extra={"removed": removed})


async def sweep_forever(context: Context, runner: SupervisorRunner, seconds: float = SWEEP_SECONDS) -> None:
    """Sweep the shared store regularly.

    Only one of many processes sweeps, and only blobs that no task can be about to name.
    """
    while True:
        await asyncio.sleep(seconds)
        if runner.supervisor.leads:
            await sweep_once(context, clock() - YOUNG_MS)


async def expire_forever(
    context: Context, runner: SupervisorRunner, keep_jobs_s: int, seconds: float = EXPIRY_SECONDS
) -> None:
    """Delete jobs whose accounts keep them no longer. Only one of many processes does."""
    while True:
        if runner.supervisor.leads:
            try:
                await delete_expired(context.db, context.blobs, keep_jobs_s, clock())
            except Exception:
                log.exception("deleting old jobs failed and is tried again")
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def background(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """Tasks that are cancelled at the end of the block."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
