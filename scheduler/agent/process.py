"""The process of the agent, `remora agent`: runs until SIGTERM or until its parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import TypedDict

import aiohttp

from scheduler import log as json_log
from scheduler.agent.blobs.server import BlobServer, ticket_key, url_of
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client, connector
from scheduler.agent.gateways import Gateways
from scheduler.agent.links.draining import drained
from scheduler.agent.links.links import Links
from scheduler.agent.links.node_work import NodeWork
from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.log import Log
from scheduler.agent.options import OptionsError, parse
from scheduler.agent.slots import capacity
from scheduler.agent.slots.prepared_instances import PreparedInstances
from scheduler.agent.slots.reserved_instances import ReservedInstances
from scheduler.agent.slots.slots import Slots
from scheduler.agent.state_lock import held, leave_last_words
from scheduler.agent.task_api.endpoint import Endpoints
from scheduler.agent.task_api.forward import Forwarder
from scheduler.agent.task_api.tool_channel import allow_nudges
from scheduler.agent.task_api.tunnel import Tunnels
from scheduler.agent.transport import Reach
from scheduler.common import descriptors
from scheduler.common.addresses import cannot_listen
from scheduler.common.background import to_the_end
from scheduler.common.process import collect_seldom
from scheduler.common.watchdog import watched
from scheduler.model.credentials.tickets import store_name
from scheduler.model.wire import RegisterRequest, Supervisor
from scheduler.objects.blobs import BlobStore
from scheduler.providers import HostView, InstanceError
from scheduler.providers.choice import ProviderOptions, open_provider
from scheduler.tls.identity import Identity, TlsError


class Sharing(TypedDict, total=False):
    """The part of a registration that says which store this node has, and how other nodes reach what is in it."""

    store: str
    serves: str
    tickets: str


async def serve(options: argparse.Namespace) -> None:
    """Register and work, again and again, until SIGTERM or SIGINT, or until the parent process is gone."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    drain = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, drain.set)
    # The file of the credential is read for each request: nothing has to be read again here.
    loop.add_signal_handler(signal.SIGHUP, reread)
    if options.parent_fd is not None:
        loop.add_reader(options.parent_fd, stopped.set)
    work = loop.create_task(work_on(options, drain))
    stop = loop.create_task(stopped.wait())
    await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
    if options.parent_fd is not None:
        loop.remove_reader(options.parent_fd)
    stop.cancel()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


def reread() -> None:
    logging.getLogger("remora.agent").info("the credential is read again")


async def work_on(options: argparse.Namespace, drain: asyncio.Event) -> None:
    """Open everything that an agent consists of, work for all supervisors, and close it all in reverse order.

    It works until it is cancelled, or until the node is drained, which `drain` asks for.
    """
    chosen = ProviderOptions(
        options.provider, options.isolation, options.containerd, host_view(options), options.allow_networks
    )
    opened = await open_provider(options.state_dir, chosen)
    provider = PreparedInstances(opened, options.prepared, partial(capacity.shortage, options.state_dir))
    identity = identity_of(options)
    reach = reach_of(options, identity)
    stores = open_stores(options, reach)
    exchange, sharing = open_exchange(options, stores, identity)
    slots = Slots(arrivals_of(options))
    request = RegisterRequest(
        node=options.node,
        slots=options.slots,
        memory_mb=options.memory_mb,
        disk_gb=capacity.disk_gb(options.state_dir),
        provider=provider.name,
        booked=options.nomad,
        **sharing,
    )
    node = NodeWork(request, slots, provider, stores.traffic, options.state_dir)
    async with aiohttp.ClientSession(connector=connector(reach)) as session, measured(options, node, identity):
        gateways = Gateways(options.url, reach)
        endpoints = Endpoints(Forwarder(gateways, session, stores), Tunnels(gateways, session), options.node)

        def connect(url: str) -> Client:
            return Client(url, options.credential, session, reach)

        async def work(supervisor: Supervisor) -> None:
            log, client = Log(supervisor=supervisor.id), connect(supervisor.url)
            link = SupervisorLink(request, stores, provider, client, endpoints, log, slots, node.count)
            with node.linked(link):
                await link.run()

        watching = asyncio.create_task(identity.watch()) if identity else None

        def shun(nodes: list[str]) -> None:
            if exchange is not None:
                exchange.revoked = frozenset(nodes)

        try:
            await slots.open()
            await provider.prepare()
            await until_drained(Links(gateways, connect, work, shun), drained(drain, node, options.drain_seconds))
        finally:
            if watching is not None:
                watching.cancel()
            await slots.close()
            await endpoints.close()
            await provider.close()
            if exchange is not None:
                await asyncio.to_thread(exchange.close)
            await stores.close()


async def until_drained(links: Links, drained: Coroutine[None, None, None]) -> None:
    """Keep the links until the node is drained, or until cancelled; then close them."""
    tasks = [asyncio.ensure_future(each) for each in (links.run(), drained)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await to_the_end(asyncio.wait(tasks))
    for task in tasks:
        if not task.cancelled():
            task.result()


@contextlib.asynccontextmanager
async def measured(options: argparse.Namespace, node: NodeWork, identity: Identity | None) -> AsyncIterator[None]:
    """Watch the event loop, and serve the node's metrics if there is an address for them. Raises OptionsError."""
    async with contextlib.AsyncExitStack() as stack:
        if options.metrics is None:
            stack.enter_context(watched("agent"))
        else:
            from scheduler.agent.metrics import MetricsServer  # 4 MB, which an agent without them saves

            server = MetricsServer(node, options.metrics_token_file, identity)
            host, port = options.metrics
            try:
                port = await stack.enter_async_context(server.serving(host, port))
            except OSError as error:
                raise OptionsError(cannot_listen(host, port, error)) from None
            stack.enter_context(watched("agent", server.stalls.count))
            logging.getLogger("remora.agent").info("metrics are served", extra={"host": host, "port": port})
        yield


def host_view(options: argparse.Namespace) -> HostView:
    """The view of the host that instances get. The state directory is hidden from it anyway."""
    places = (options.objects, options.credential_file, options.launch_socket)
    return HostView(options.show_dirs, tuple(place.resolve() for place in places if place is not None))


def identity_of(options: argparse.Namespace) -> Identity | None:
    """The node's certificate; None if it has none. Raises OptionsError."""
    try:
        return None if options.tls is None else Identity(options.tls)
    except TlsError as error:
        raise OptionsError(str(error)) from None


def reach_of(options: argparse.Namespace, identity: Identity | None) -> Reach:
    if identity is None:
        return Reach(plain=options.plain)
    return Reach(identity.asking, identity.fetching, options.plain)


def open_stores(options: argparse.Namespace, reach: Reach) -> Stores:
    """The stores of a node in a cluster, or of a machine that is alone. Raises OptionsError."""
    try:
        if options.objects is None:
            return Stores.one(BlobStore(options.state_dir / "blobs"))
        limit = options.cache_mb and options.cache_mb << 20
        return Stores.of_node(options.node, options.objects, options.state_dir, limit, reach)
    except OSError as error:
        raise OptionsError(f"cannot keep blobs in {error.filename}: {error.strerror}") from None


def open_exchange(
    options: argparse.Namespace, stores: Stores, identity: Identity | None
) -> tuple[BlobServer | None, Sharing]:
    """The server of this node's intermediates, and what the registration says about it. Raises OptionsError."""
    try:
        key = ticket_key(options.state_dir / "tickets.key")
    except OSError as error:
        raise OptionsError(f"cannot use {options.state_dir} for the state: {error.strerror}") from None
    store = store_name(key)
    if options.listen is None:
        return None, {"store": store}
    host, port = options.listen
    try:
        exchange = BlobServer(stores.own, key, stores.traffic)
        port = exchange.start(host, port, identity.exchange if identity else None)
    except OSError as error:
        raise OptionsError(cannot_listen(host, port, error)) from None
    return exchange, {
        "store": store,
        "serves": options.advertise or url_of(host, port, "https" if identity else "http"),
        "tickets": key,
    }


def arrivals_of(options: argparse.Namespace) -> ReservedInstances | None:
    """The listener that launchers connect to; None unless Nomad reserves the instances."""
    return ReservedInstances(options.launch_socket or options.state_dir / "launch.sock") if options.nomad else None


def run(options: argparse.Namespace) -> int:
    """Run the agent until it is stopped; returns its exit status. Raises OptionsError."""
    json_log.setup()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    os.umask(0o022)
    descriptors.raise_limit()  # a task takes two or three, and the kernel counts those in flight against us too
    allow_nudges()
    collect_seldom()
    try:
        with held(options.state_dir):
            asyncio.run(serve(options))
    except InstanceError as error:
        logging.getLogger("remora.agent").error("no instance can be made here", extra={"why": str(error)})
        leave_last_words(options.state_dir, str(error))
        return 1
    return 0


def main() -> int:
    """Parse the command line and run; a configuration error is printed, and kept for the parent process."""
    options: argparse.Namespace | None = None
    try:
        options = parse(sys.argv[1:])
        return run(options)
    except OptionsError as error:
        if options is not None:
            leave_last_words(options.state_dir, str(error))
        print(f"python -m scheduler.agent: error: {error}", file=sys.stderr)
        return 1
