"""`remora up`: starts the components of a whole service, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scheduler import log as json_log
from scheduler.common import descriptors
from scheduler.common.process import collect_seldom
from scheduler.common.watchdog import watched
from scheduler.gateway import node_credentials
from scheduler.providers.containerd.machine import why_no_containers
from scheduler.providers.images.store import ImageStore
from scheduler.providers.isolation import recorded, sentences
from scheduler.records.node_trust import trust_in
from scheduler.service import first_account, own_objects, parts, state_checks
from scheduler.service.agent_process import AgentOptions, Trouble, keep_running
from scheduler.service.parts import clock
from scheduler.service.reaper import reap_forever
from scheduler.service.settings import ServiceOptions, own_address, shared_database
from scheduler.service.state import DATABASE, LOG_FILE, OBJECTS, ServiceInfo, StateDir, StateError
from scheduler.service.workers.forks import Fork, Start, forked, started
from scheduler.service.workers.gateway import gateway_of
from scheduler.supervisor.job_services import LocalFirstJobService
from scheduler.supervisor.runner import SupervisorRunner

log = logging.getLogger("remora.service")

MIN_SLOTS = 4
AGENT_SECONDS = 30.0


def serve(options: ServiceOptions, on_ready: Callable[[ServiceInfo], None]) -> int:
    """Run a service in the foreground until SIGINT or SIGTERM; the exit status. Raises StateError."""
    json_log.setup()
    descriptors.raise_limit()
    collect_seldom()
    if options.provider == "containerd" and (why := why_no_containers(own_daemon=options.containerd is None)):
        raise StateError(why)
    if options.database is not None:
        shared_database(options.database)
        if options.workers > 1:
            raise StateError("--workers: on PostgreSQL any number of `remora gateway` serve besides; start those")
    with forked(options.workers - 1, gateway_of(options)) as forks:
        return _serve_state(options, forks, on_ready)


def _serve_state(options: ServiceOptions, forks: Sequence[Fork], on_ready: Callable[[ServiceInfo], None]) -> int:
    state = StateDir(options.state_dir.absolute())
    try:
        json_log.also_to(state.path / LOG_FILE)
    except OSError as error:
        log.warning("cannot log to a file", extra={"file": error.filename, "why": error.strerror})
    for trouble in state_checks.troubles(state.path):
        log.warning("tasks will not run well here", extra={"why": trouble})
    try:
        asyncio.run(_serve(options, state, forks, on_ready))
    finally:
        state.close()
    return 0


async def _serve(
    options: ServiceOptions, state: StateDir, forks: Sequence[Fork], on_ready: Callable[[ServiceInfo], None]
) -> None:
    stop = parts.stop_signal()
    began = clock()
    secrets = parts.Secrets(state.secret("token.secret").encode(), state.secret("agent.secret"))
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(parts.opened(options.database or state.path / DATABASE, state.path / OBJECTS))
        recorded_jobs = stack.enter_context(parts.recorded(store))
        runner, trouble = SupervisorRunner(), Trouble()
        logs = stack.enter_context(parts.logging_to(options.log_files))
        context = parts.context_of(
            store,
            secrets,
            guard=options.guard,
            images=ImageStore(state.path / "images").offered,
            service=LocalFirstJobService(recorded_jobs, lambda: runner.current),
            supervisor=lambda: runner.current,
            no_agent=lambda: trouble.why,
            logs=logs,
        )
        stack.enter_context(watched("service", context.metrics.stalls.count))
        account = await first_account.ensure(context.db, state, options.login, options.key, clock())
        await own_objects.ensure(context)
        tls = await stack.enter_async_context(parts.identified(context, options.tls))
        limits = parts.bounded(context, options.connections)
        public = url = await stack.enter_async_context(
            parts.listening(context, options.host, options.port, limits, tls, shared=bool(forks))
        )
        if options.database is not None:
            context.sessions.address = own_address(None, options.host, url, options.database)
            context.sessions.tls = tls.asking if tls else True
        agents = url
        if tls is not None or forks:  # the agent uses an address on loopback, and with TLS this machine's clients do
            agents = await stack.enter_async_context(parts.listening(context, "127.0.0.1", 0, limits))
            url = url if tls is None else agents
        await stack.enter_async_context(parts.supervising(context, runner, agents, alone=options.database is None))
        if forks:
            context.sessions.address = agents
            start = Start(urlsplit(public).port or 0, secrets.token.decode(), secrets.agent)
            await stack.enter_async_context(started(forks, context.db, start))
        node = socket.gethostname()
        trust = await context.db.read(partial(trust_in, node=node))
        state.write("agent.credential", node_credentials.issue(secrets.agent, node, trust.generation))
        agent = _agent(options, state, agents)
        running = asyncio.create_task(keep_running(agent, trouble))
        reaping = asyncio.create_task(reap_forever())
        sweeping = asyncio.create_task(parts.sweep_once(context, began))
        expiring = asyncio.create_task(parts.expire_forever(context, runner, options.keep_jobs_s))
        await stack.enter_async_context(parts.background(running, sweeping, reaping, expiring))
        agent_service = runner.supervisor.agent_service
        await _first_of(agent_service.arrived.wait(), stop.wait(), trouble.hopeless.wait(), seconds=AGENT_SECONDS)
        # then users must be served, so that they can delete objects
        full = state_checks.why_no_instance(state.path) is not None
        if trouble.hopeless.is_set() and not (agent_service.arrived.is_set() or stop.is_set() or full):
            raise StateError(f"no task can run here, because the agent does not start: {trouble.why}")
        instances = " ".join(agent_service.providers())
        info = ServiceInfo(
            url,
            account.login,
            account.key_id,
            str(state.path),
            os.getpid(),
            account.key_file,
            instances,
            gaps_at(state.path) if instances else tuple(state_checks.troubles(state.path)),
            public,
        )
        state.announce(info)
        log.info("service is up", extra={"url": public, "own": agents, "slots": agent.slots, "instances": instances})
        if not stop.is_set():
            on_ready(info)
        await stop.wait()
        log.info("service stops")
        await context.sessions.close()
        runner.supervisor.let_go()
        recorded_jobs.close()


def gaps_at(state_dir: Path) -> tuple[str, ...]:
    """Sentences that the agent wrote at its start: trouble with the state directory, and gaps of the isolation."""
    isolation = recorded(state_dir)
    return (*state_checks.troubles(state_dir), *(sentences(isolation) if isolation is not None else ()))


def _agent(options: ServiceOptions, state: StateDir, url: str) -> AgentOptions:
    """The options of this machine's agent."""
    slots = options.slots or max(MIN_SLOTS, 2 * (os.cpu_count() or 1))
    return AgentOptions(
        url, state.path, options.provider, slots, options.containerd, options.show_dirs, options.allow_networks,
        options.prepared, options.plain, options.agent_metrics, options.metrics_token_file,
    )  # fmt: skip


async def _first_of(*awaitables: Coroutine[Any, Any, object], seconds: float) -> None:
    tasks = [asyncio.create_task(each) for each in awaitables]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
