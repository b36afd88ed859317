"""Metrics of a supervisor and of the records, by Prometheus' conventions: base units, `_total` for counters only.

Two kinds: what the supervisor of this process has in memory is read when it is asked for; what only the records know
(stored bytes, how long tasks have waited) is looked up by a sampler in the background, every `SECONDS`, and seldom
enough that the look takes a hundredth of the time. Labels are bounded: a node, a place, an outcome; never an account, a
job or a path.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from scheduler.common.metrics import gauge
from scheduler.gateway.context import Context
from scheduler.service.operators.overview import Overview, overview
from scheduler.service.operators.totals import Total, totals
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.runner import SupervisorRunner
from scheduler.supervisor.supervisor import Supervisor

log = logging.getLogger("remora.service")

SECONDS = 15.0
SHARE = 100
KINDS = ("map", "reduce", "session")  # of pools
# What is read of each node's agent.
NODES: Mapping[str, tuple[str, Callable[[AgentSession], float]]] = {
    "remora_node_slots": ("Instances that the node may have.", lambda agent: agent.slots - agent.disabled),
    "remora_node_instances": ("Instances that pools were told to have.", lambda agent: sum(agent.told.values())),
    "remora_node_instances_ending": ("Instances that are being ended.", lambda agent: agent.ending),
    "remora_node_tasks": ("Tasks that the agent holds.", lambda agent: max(0, agent.held.total())),
    "remora_node_memory_bytes": ("Memory that the node offers.", lambda agent: agent.offer.memory_mb << 20),
    "remora_node_draining": ("1 if no instance is to begin there.", lambda agent: agent.draining),
}


@dataclass(slots=True)
class Sample:
    """The newest look at the records; None before the first."""

    overview: Overview | None = None
    totals: Mapping[str, Total] = field(default_factory=dict)


class ServiceMetrics:
    """The collector of all of them."""

    def __init__(self, runner: SupervisorRunner, sample: Sample) -> None:
        self._runner = runner
        self._sample = sample

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would collect, to learn the names, before there is a supervisor."""
        return ()

    def collect(self) -> Iterator[Metric]:
        supervisor = self._runner.current
        if supervisor is not None:
            yield from self._of_supervisor(supervisor)
        yield from self._of_records()

    def _of_supervisor(self, supervisor: Supervisor) -> Iterator[Metric]:
        value = {"id": str(supervisor.id)}
        yield InfoMetricFamily("remora_supervisor", "The number of the supervisor's start.", value=value)
        for name, (text, measured) in NODES.items():
            family = GaugeMetricFamily(name, text, labels=("node",))
            for agent in supervisor.agent_service.sessions():
                family.add_metric((agent.node,), float(measured(agent)))
            yield family
        yield from pools(supervisor)

    def _of_records(self) -> Iterator[Metric]:
        found = self._sample.overview
        if found is None:
            return
        yield gauge("remora_tasks_running", "Tasks that agents hold, of all supervisors.", found.running)
        yield gauge("remora_queue_age_seconds", "Wait of the ready task that has waited longest.", found.queue_age_s)
        yield gauge("remora_phases_waiting", "Jobs with a phase that waits.", sum(bool(j.waiting) for j in found.jobs))
        yield gauge("remora_supervisors", "Supervisors that are alive.", found.supervisors)
        used = {name: total.used or 0 for name, total in self._sample.totals.items()}
        yield gauge("remora_stored_bytes", "Bytes of all objects, by their names.", used["bytes"])
        yield gauge("remora_stored_objects", "Objects, by their names.", used["objects"])
        limits = GaugeMetricFamily("remora_limit", "What all accounts may have together.", labels=("limit",))
        for name, total in self._sample.totals.items():
            limits.add_metric((name,), math.inf if total.most is None else float(total.most))
        yield limits


def pools(supervisor: Supervisor) -> Iterator[Metric]:
    """What pools wait for and have, summed by kind: a series for each would never end, and come with every job."""
    ready: Counter[str] = Counter()
    told: Counter[tuple[str, str]] = Counter()
    for live in supervisor.jobs:
        for phase, pool in zip(live.spec.phases, live.pools, strict=True):
            kind = "session" if live.spec.is_session else "reduce" if phase.blocking else "map"
            ready[kind] += supervisor.jobs.ready[pool]
            for agent in supervisor.agent_service.sessions():
                told[kind, agent.node] += agent.told.get(pool, 0)
    tasks = GaugeMetricFamily("remora_pool_tasks_ready", "Tasks that wait for an instance.", labels=("kind",))
    instances = GaugeMetricFamily("remora_pool_instances", "Instances that pools were told.", labels=("kind", "node"))
    for kind in KINDS:
        tasks.add_metric((kind,), ready[kind])
        for agent in supervisor.agent_service.sessions():
            instances.add_metric((kind, agent.node), told[kind, agent.node])
    yield from (tasks, instances)


def measure(context: Context, runner: SupervisorRunner) -> Sample:
    """Register all metrics of this module; returns the sample, for `sample_forever`."""
    sample = Sample()
    registry: CollectorRegistry = context.metrics.registry
    registry.register(ServiceMetrics(runner, sample))
    gauges: dict[str, tuple[str, Callable[[Supervisor], float]]] = {
        "remora_jobs_live": ("Jobs of this supervisor that are not archived yet.", lambda one: len(one.jobs)),
        "remora_tasks_ready": ("Its tasks that wait for an instance.", lambda one: one.jobs.ready.total()),
        "remora_instances_disabled": (
            "Slots whose instances could not be ended.",
            lambda one: one.agent_service.disabled(),
        ),
    }
    for name, (text, value) in gauges.items():
        Gauge(name, text, registry=registry).set_function(lambda value=value: value(runner.supervisor))  # type: ignore[misc]
    return sample


async def sample_forever(context: Context, sample: Sample) -> None:
    """Look at the records now and then; a failure is logged, and the next look is made all the same."""
    while True:
        began = time.monotonic()
        try:
            sample.overview, sample.totals = await context.db.read(lambda c: (overview(c), totals(c)))
        except Exception:
            log.exception("measuring failed and is tried again")
        await asyncio.sleep(max(SECONDS, SHARE * (time.monotonic() - began)))
