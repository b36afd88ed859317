"""What a worker serves: users' requests, at the address that it shares with the service."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from scheduler.common.watchdog import watched
from scheduler.providers.images.store import ImageStore
from scheduler.service import parts
from scheduler.service.settings import ServiceOptions
from scheduler.service.state import DATABASE, OBJECTS
from scheduler.service.workers.forks import Serve, Start
from scheduler.service.workers.relay import relaying


def gateway_of(options: ServiceOptions) -> Serve:
    """What the workers of a service with these options run."""
    return partial(serve, options)


async def serve(
    options: ServiceOptions, start: Start, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve until the service ends, or this process is told to stop."""
    stop, state = parts.stop_signal(), options.state_dir.absolute()
    secrets = parts.Secrets(start.token_secret.encode(), start.agent_secret)
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(parts.opened(state / DATABASE, state / OBJECTS, ballast=False))
        recorded_jobs = stack.enter_context(parts.recorded(store))
        logs = stack.enter_context(parts.logging_to(options.log_files))
        context = parts.context_of(
            store, secrets, guard=options.guard, images=ImageStore(state / "images").offered, service=recorded_jobs,
            logs=logs,
        )  # fmt: skip
        stack.enter_context(watched("worker", context.metrics.stalls.count))
        tls = await stack.enter_async_context(parts.identified(context, options.tls))
        limits = parts.bounded(context, options.connections)
        await stack.enter_async_context(parts.listening(context, options.host, start.port, limits, tls, shared=True))
        context.sessions.address = await stack.enter_async_context(parts.listening(context, "127.0.0.1", 0, limits))
        writer.write(b"\n")
        relay = await stack.enter_async_context(relaying(store.db, reader, writer))
        waits = [asyncio.create_task(event.wait()) for event in (stop, relay.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await context.sessions.close()
        recorded_jobs.close()
