"""Metrics of the gateway, for Prometheus.

One registry per gateway rather than the library's global one, so that several gateways
(in tests) do not add up. Other packages register their collectors with `Metrics.registry`.
Its conventions are kept as in `common.metrics`: a route is counted by its name, never its path, and all unknown methods
count as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

from scheduler.common.metrics import Stalls
from scheduler.http.limits import ConnectionLimits

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class ClosedConnections:
    """Counters that the connection limits keep themselves."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits

    def collect(self) -> Iterator[Metric]:
        evicted = "Connections closed while they waited, too long or for others."
        yield CounterMetricFamily("remora_connections_evicted", evicted, value=self._limits.evicted)
        refused = "Connections closed on arrival, for want of a place."
        yield CounterMetricFamily("remora_connections_refused", refused, value=self._limits.refused)


class Metrics:
    """Counts requests by method, route and status, their seconds, and body bytes in and out."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "remora_http_requests", "Requests answered.", ("method", "route", "code"), registry=self.registry
        )
        self._seconds = Histogram(
            "remora_http_request_duration_seconds", "Time to answer users' requests.",
            ("route",), buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.stalls = Stalls(self.registry)
        self.over_limit = Counter(
            "remora_limit_refusals", "Requests refused because of a limit.", ("limit",), registry=self.registry
        )
        self.bytes_in = Counter("remora_http_received_bytes", "Object bytes received.", registry=self.registry)
        self.bytes_out = Counter("remora_http_sent_bytes", "Object bytes sent.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        if route != "agent":
            self._seconds.labels(route).observe(seconds)

    def connections(self, limits: ConnectionLimits) -> None:
        """Register the counts of the connection limits."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "remora_connections": ("Open connections, but those of agents.", lambda: limits.count),
            "remora_connections_trusted": ("Open connections of agents.", lambda: limits.trusted),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=self.registry).set_function(value)
        self.registry.register(ClosedConnections(limits))

    def text(self) -> bytes:
        """The metrics in the exposition format, as `GET /metrics` returns them."""
        return generate_latest(self.registry)
