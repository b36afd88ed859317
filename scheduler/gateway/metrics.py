"""Metrics of the gateway, for Prometheus.

One registry per gateway rather than the library's global one, so that several gateways
(in tests) do not add up. Other packages register their collectors with `Metrics.registry`.
Labels are bounded: a route is counted by its name, never its path, and all unknown methods count as one.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from scheduler.http.limits import ConnectionLimits

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
STALLS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """Counts requests by method, route and status, their seconds, and body bytes in and out."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "remora_http_requests", "Requests answered.", ("method", "route", "code"), registry=self.registry
        )
        self._seconds = Histogram(
            "remora_http_seconds", "Seconds per request.", ("route",), buckets=BUCKETS, registry=self.registry
        )
        self._stalls = Counter("remora_loop_stalls", "Times that the event loop did not turn.", registry=self.registry)
        self._stall_seconds = Histogram(
            "remora_loop_stall_seconds", "Seconds that it did not.", buckets=STALLS, registry=self.registry
        )
        self.over_limit = Counter(
            "remora_limit_refusals", "Requests refused because of a limit.", ("limit",), registry=self.registry
        )
        self.bytes_in = Counter("remora_http_bytes_in", "Object bytes received.", registry=self.registry)
        self.bytes_out = Counter("remora_http_bytes_out", "Object bytes sent.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stalled(self, seconds: float) -> None:
        """Count a stall: the event loop did not turn for so many seconds (see `scheduler.common.watchdog`)."""
        self._stalls.inc()
        self._stall_seconds.observe(seconds)

    def connections(self, limits: ConnectionLimits) -> None:
        """Register the counts of the connection limits."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "remora_connections": ("Open connections, but those of agents.", lambda: limits.count),
            "remora_connections_trusted": ("Open connections of agents.", lambda: limits.trusted),
            "remora_connections_evicted": ("Closed while they waited, too long or for others.", lambda: limits.evicted),
            "remora_connections_refused": ("Closed on arrival, for want of a place.", lambda: limits.refused),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """The metrics in the exposition format, as `GET /metrics` returns them."""
        return generate_latest(self.registry)
