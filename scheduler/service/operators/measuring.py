"""Metrics of a supervisor and of the records, by Prometheus' conventions: base units, `_total` for counters only.

Two kinds: what the supervisor of this process has in memory is read when it is asked for; what only the records know
(stored bytes, how long tasks have waited) is looked up by a sampler in the background, every `SECONDS`, and seldom
enough that the look takes a hundredth of the time. Labels are bounded: a node, a place, an outcome; never an account, a
job or a path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from scheduler.common.space import space_at
from scheduler.gateway.context import Context
from scheduler.records.database import Connection
from scheduler.service.operators.overview import Overview, overview
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.runner import SupervisorRunner
from scheduler.supervisor.supervisor import Supervisor

log = logging.getLogger("remora.service")

SECONDS = 15.0
SHARE = 100
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
    objects: int = 0
    bytes: int = 0


class ServiceMetrics:
    """The collector of all of them."""

    def __init__(self, context: Context, runner: SupervisorRunner, sample: Sample) -> None:
        self._context = context
        self._runner = runner
        self._sample = sample

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would collect, to learn the names, before there is a supervisor."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("remora_build", "The version that runs.", value={"version": installed()})
        supervisor = self._runner.current
        if supervisor is not None:
            yield from self._of_supervisor(supervisor)
        yield from self._of_records()
        yield from disks({"objects": self._context.blobs.root, "records": self._context.db.directory})

    def _of_supervisor(self, supervisor: Supervisor) -> Iterator[Metric]:
        value = {"id": str(supervisor.id)}
        yield InfoMetricFamily("remora_supervisor", "The number of the supervisor's start.", value=value)
        for name, (text, measured) in NODES.items():
            family = GaugeMetricFamily(name, text, labels=("node",))
            for agent in supervisor.agent_service.sessions():
                family.add_metric((agent.node,), float(measured(agent)))
            yield family

    def _of_records(self) -> Iterator[Metric]:
        found = self._sample.overview
        if found is None:
            return
        yield gauge("remora_tasks_running", "Tasks that agents hold, of all supervisors.", found.running)
        yield gauge("remora_queue_age_seconds", "Wait of the ready task that has waited longest.", found.queue_age_s)
        yield gauge("remora_phases_waiting", "Jobs with a phase that waits.", sum(bool(j.waiting) for j in found.jobs))
        yield gauge("remora_supervisors", "Supervisors that are alive.", found.supervisors)
        yield gauge("remora_stored_bytes", "Bytes of all objects, by their names.", self._sample.bytes)
        yield gauge("remora_stored_objects", "Objects, by their names.", self._sample.objects)


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def disks(places: Mapping[str, Path | None]) -> Iterator[Metric]:
    """Free and whole space of the file systems that this process writes to."""
    free = GaugeMetricFamily("remora_disk_free_bytes", "Free space of the file system.", labels=("place",))
    whole = GaugeMetricFamily("remora_disk_size_bytes", "Size of the file system.", labels=("place",))
    for place, path in places.items():
        with suppress(OSError):
            if path is not None:
                space = space_at(path)
                free.add_metric((place,), float(space.free))
                whole.add_metric((place,), float(space.total))
    yield from (free, whole)


def installed() -> str:
    try:
        return version("remora")
    except PackageNotFoundError:
        return "unknown"


def measure(context: Context, runner: SupervisorRunner) -> Sample:
    """Register all metrics of this module; returns the sample, for `sample_forever`."""
    sample = Sample()
    registry: CollectorRegistry = context.metrics.registry
    registry.register(ServiceMetrics(context, runner, sample))
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
            sample.overview, sample.objects, sample.bytes = await context.db.read(looked)
        except Exception:
            log.exception("measuring failed and is tried again")
        await asyncio.sleep(max(SECONDS, SHARE * (time.monotonic() - began)))


def looked(c: Connection) -> tuple[Overview, int, int]:
    row = c.one("stored_in_all")
    assert row is not None
    return overview(c), row["objects"], int(row["bytes"])
