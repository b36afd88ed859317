"""Metrics that every process of ours has, for Prometheus: its version, its disks, its use of the machine (`process_…`),
and the stalls of its event loop.

By the conventions counters end in `_total`, and nothing else does; units are seconds and bytes; there are no `_created`
series. Labels are bounded: never an account, a job or a path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from scheduler.common.disk_reserve import space_at

disable_created_metrics()  # type: ignore[no-untyped-call]
STALLS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Stalls:
    """Counts the times that an event loop did not turn (see `scheduler.common.watchdog`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._number = Counter("remora_event_loop_stalls", "Times that the event loop did not turn.", registry=registry)
        self._seconds = Histogram(
            "remora_event_loop_stall_duration_seconds", "How long it did not.", buckets=STALLS, registry=registry
        )

    def count(self, seconds: float) -> None:
        self._number.inc()
        self._seconds.observe(seconds)


def certificate(registry: CollectorRegistry, expires: Callable[[], float]) -> None:
    """Register how long the certificate is valid. `expires`: until when, in seconds since the epoch."""
    left = Gauge("remora_tls_expiry_seconds", "Until the certificate expires.", registry=registry)
    left.set_function(lambda: expires() - time.time())


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


class ProcessMetrics:
    """The collector of version and disks; `places`: the directories in which this process writes, by what they are."""

    def __init__(self, places: Mapping[str, Path | None]) -> None:
        self._places = places

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("remora_build", "The version that runs.", value={"version": installed()})
        yield from disks(self._places)


def register(registry: CollectorRegistry, places: Mapping[str, Path | None]) -> None:
    """Register what every process has."""
    ProcessCollector(registry=registry)
    registry.register(ProcessMetrics(places))


def disks(places: Mapping[str, Path | None]) -> Iterator[Metric]:
    """Free and whole space of some directories' file systems."""
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
