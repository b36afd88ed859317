"""A real agent in this process: links, provider, endpoints, as `scheduler.agent` puts them together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp

from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client, connector
from scheduler.agent.gateways import Gateways
from scheduler.agent.links.links import Links
from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.log import Log
from scheduler.agent.slots.slots import Slots
from scheduler.agent.task_api.endpoint import Endpoints
from scheduler.agent.task_api.forward import Forwarder
from scheduler.agent.task_api.tunnel import Tunnels
from scheduler.model.wire import RegisterRequest, Supervisor
from scheduler.objects.blobs import BlobStore
from scheduler.providers.process import ProcessProvider


@contextlib.asynccontextmanager
async def joined(
    state_dir: Path, blobs: Path, urls: list[str], request: RegisterRequest, credential: Callable[[], str]
) -> AsyncIterator[dict[str, SupervisorLink]]:
    """An agent that has its blobs in `blobs` and knows these gateways: its links, by the addresses of supervisors.

    At the end it has left no instance.
    """
    state_dir.mkdir(mode=0o700, exist_ok=True)
    stores = Stores.one(BlobStore(blobs))
    provider = ProcessProvider(state_dir, "subreaper")
    await provider.prepare()
    async with aiohttp.ClientSession(connector=connector()) as session:
        gateways = Gateways(urls)
        endpoints = Endpoints(Forwarder(gateways, session, stores), Tunnels(gateways, session), request.node)
        slots = Slots()
        links: dict[str, SupervisorLink] = {}

        def connect(url: str) -> Client:
            return Client(url, credential, session)

        async def work(supervisor: Supervisor) -> None:
            client = connect(supervisor.url)
            links[supervisor.url] = SupervisorLink(request, stores, provider, client, endpoints, Log(), slots)
            await links[supervisor.url].run()

        running = asyncio.create_task(Links(gateways, connect, work).run())
        try:
            yield links
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await slots.close()
            await endpoints.close()
            await provider.close()
            await stores.close()
    assert list((state_dir / "instances").iterdir()) == []
