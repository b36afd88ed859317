"""`python -m scheduler.agent`: one agent, until SIGTERM or until its parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from pathlib import Path

import aiohttp

from scheduler import log as json_log
from scheduler.agent import capacity
from scheduler.agent.agent import Agent
from scheduler.agent.client import Client
from scheduler.agent.endpoint import Endpoints
from scheduler.agent.forward import Forwarder
from scheduler.agent.log import Log
from scheduler.agent.slots import Slots
from scheduler.agent.stores import Stores
from scheduler.model.wire import RegisterRequest
from scheduler.objects.blobs import BlobStore
from scheduler.providers import InstanceError
from scheduler.providers.choice import NAMES, ProviderOptions, open_provider


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scheduler.agent", description="Run tasks on this node.")
    parser.add_argument("--url", required=True, help="of the gateway, http://HOST:PORT")
    parser.add_argument("--secret-file", type=Path, required=True, help="holds the secret that agents share")
    parser.add_argument("--state-dir", type=Path, required=True, help="with the blobs; instances are made in it")
    parser.add_argument("--provider", choices=NAMES, default="process", help="where instances come from")
    parser.add_argument("--containerd", metavar="SOCKET", help="of the containerd to use (default: one of our own)")
    parser.add_argument(
        "--isolation",
        choices=["auto", "namespaces", "subreaper"],
        default="auto",
        help="of instances; auto: namespaces where the kernel allows them (default)",
    )
    parser.add_argument(
        "--slots", type=int, default=os.cpu_count() or 1, help="instances that compute (default: cores)"
    )
    parser.add_argument(
        "--memory-mb", type=int, default=capacity.memory_mb(), help="for all instances (default: the machine's)"
    )
    parser.add_argument("--node", required=True, help="name of this node")
    parser.add_argument("--parent-fd", type=int, help="end when this descriptor is closed at its other end")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Register and work, again and again, until we are told to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if options.parent_fd is not None:
        loop.add_reader(options.parent_fd, stopped.set)
    work = loop.create_task(work_on(options))
    stop = loop.create_task(stopped.wait())
    await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
    if options.parent_fd is not None:
        loop.remove_reader(options.parent_fd)
    stop.cancel()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def work_on(options: argparse.Namespace) -> None:
    chosen = ProviderOptions(options.provider, options.isolation, options.containerd)
    provider = await open_provider(options.state_dir, chosen)
    stores = Stores.one(BlobStore(options.state_dir / "blobs"))
    request = RegisterRequest(
        node=options.node,
        slots=options.slots,
        memory_mb=options.memory_mb,
        disk_gb=capacity.disk_gb(options.state_dir),
        provider=provider.name,
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(options.url, options.secret_file, session)
        endpoints = Endpoints(Forwarder(options.url, session, stores), options.node)
        slots = Slots()
        try:
            while True:
                await Agent(request, stores, provider, client, endpoints, Log(), slots).run()
        finally:
            await slots.close()
            await endpoints.close()
            await provider.close()
            stores.close()


def allow_descriptors() -> None:
    """Two or three for each task, and the kernel counts those under way against us too."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    options = parse(sys.argv[1:])
    json_log.setup()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    os.umask(0o022)
    allow_descriptors()
    gc.freeze()  # the modules stay: looking through them again and again costs as much as a small task
    try:
        asyncio.run(serve(options))
    except InstanceError as error:
        logging.getLogger("remora.agent").error("no instance can be made here", extra={"why": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
