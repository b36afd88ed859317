"""Metrics of an agent, for Prometheus, at an address of its own: what its node has and does.

A pool is named by its job, so a series for each pool would be new with every job, and none would end. So pools are
summed by what is bounded: their kind (`map`, or `reduce` for those that may wait for others) and the memory of their
tier. `mrjob explain` tells the pools of one job apart.

The server is the smallest there is: `GET /metrics`, for the operator (`http.operator`), within the bounds on
connections of all our servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from scheduler.agent.links.node_work import NodeWork
from scheduler.common.metrics import Stalls, certificate, gauge, register
from scheduler.http.limits import Bounds, ConnectionLimits, LimitedHandler
from scheduler.http.operator_access import METRICS_TYPE, is_operator
from scheduler.model.wire import Outcome
from scheduler.tls.identity import Identity

BOUNDS = Bounds(total=64, per_peer=32)
END_SECONDS = 0.1
POOL_LABELS = ("kind", "memory")


class AgentMetrics:
    """The collector of a node's metrics."""

    def __init__(self, node: NodeWork) -> None:
        self._node = node

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would collect, to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        node, slots = self._node, self._node.slots
        told = {"node": node.request.node, "provider": node.request.provider}
        yield InfoMetricFamily("remora_agent", "The node, and where its instances come from.", value=told)
        yield gauge("remora_agent_supervisors", "Supervisors that the agent works for.", len(node.links))
        yield gauge("remora_agent_slots", "Instances that may compute at a time.", node.request.slots)
        yield gauge("remora_agent_slots_disabled", "Slots whose instance could not be ended.", slots.disabled)
        yield gauge("remora_agent_instances_ending", "Instances that are being ended.", slots.ending.slots)
        yield gauge("remora_agent_instances_prepared", "Instances made ahead.", node.prepared.ready)
        yield gauge("remora_agent_memory_bytes", "Memory for all instances.", node.request.memory_mb << 20)
        yield gauge("remora_agent_short", "1 if the node lacks room for one more instance.", slots.lack is not None)
        yield from self._pools()
        ended = CounterMetricFamily("remora_agent_attempts", "Attempts that ended here.", labels=("outcome",))
        for outcome in Outcome:
            ended.add_metric((outcome.value,), node.outcomes[outcome])
        yield ended
        for name, text, value in (
            ("served", "Bytes of intermediates sent to other nodes.", node.traffic.served),
            ("fetched", "Bytes of intermediates and objects copied to this node.", node.traffic.fetched),
        ):
            yield CounterMetricFamily(f"remora_agent_{name}_bytes", text, value=value)
        resumed = "Transfers resumed where they had broken off."
        yield CounterMetricFamily("remora_agent_transfers_resumed", resumed, value=node.traffic.resumed)

    def _pools(self) -> Iterator[Metric]:
        loads = self._node.loads()
        pools = GaugeMetricFamily("remora_agent_pools", "Phases of jobs that are here.", labels=POOL_LABELS)
        instances = GaugeMetricFamily("remora_agent_pool_instances", "Instances of pools.", labels=POOL_LABELS)
        tasks = GaugeMetricFamily("remora_agent_pool_tasks", "Tasks of pools.", labels=(*POOL_LABELS, "state"))
        for labels, load in sorted(loads.items()):
            pools.add_metric(labels, load.pools)
            instances.add_metric(labels, load.instances)
            tasks.add_metric((*labels, "running"), load.running)
            tasks.add_metric((*labels, "waiting"), load.waiting)
        yield from (pools, instances, tasks)


class MetricsServer:
    """Serves the metrics of an agent. `token`: what opens them; without one, only this machine does.

    `identity`: the node's certificate, if it has one.
    """

    def __init__(self, node: NodeWork, token: str | None, identity: Identity | None) -> None:
        self._registry = CollectorRegistry()
        self._token = token
        register(self._registry, {"node": node.state_dir})
        self._registry.register(AgentMetrics(node))
        self.stalls = Stalls(self._registry)
        self._tls = None if identity is None else identity.serving
        if identity is not None:
            certificate(self._registry, lambda: identity.expires)

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen for the length of the block; yields the port. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        loop, server, limits = asyncio.get_running_loop(), web.Server(self._handle), ConnectionLimits(BOUNDS)

        def accept() -> asyncio.Protocol:
            return LimitedHandler(server, limits=limits, loop=loop, access_log=None)

        bound: int = listener.getsockname()[1]
        listening = await loop.create_server(accept, sock=limits.listener(listener), ssl=self._tls)
        try:
            yield bound
        finally:
            listening.close()
            await server.shutdown(END_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not is_operator(request, self._token):
            return web.Response(status=403, text="metrics are for the operator\n")
        if request.method not in ("GET", "HEAD") or request.path != "/metrics":
            return web.Response(status=404, text="there is only GET /metrics\n")
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": METRICS_TYPE})
