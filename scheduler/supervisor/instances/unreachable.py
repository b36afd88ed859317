"""Instances on nodes that are gone, though Nomad does not know yet.

Nomad gives a node up after half a minute; we have had no word from its agent for ten seconds by
then, and its tasks are to run elsewhere. So whatever Nomad takes for running on a node without an
agent is counted as *stranded*: it was asked for, and is of no use.

An agent that was here is gone as soon as its lease is over, but for a moment in which it may
register anew. One that never was here may be about to come: a supervisor that has just begun waits
for it as long as a lease.

Example: 2 reducers on n3, whose cable is cut. After 10 s n3 has no session here: `standing` says 2
stranded, none live, and 2 are booked elsewhere. At 30 s Nomad gives n3 up, and would replace them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from scheduler.model.wire import LEASE_SECONDS
from scheduler.nomad.reconcile import Known, strand

# Seconds between two registrations of the same agent, at most.
BETWEEN_SECONDS = 0.5


class UnreachableInstances:
    """Remembers which nodes had an agent, and since when others have none."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._absent: dict[str, float] = {}

    def standing(self, known: Mapping[str, Known], present: Collection[str], now: float) -> dict[str, Known]:
        """The same jobs, less what is stranded. `present`: nodes whose agents are here; `now`: seconds, monotonic."""
        nodes = {node for one in known.values() for node in one.at}
        self._absent = {node: self._absent.get(node, now) for node in nodes if node not in present}
        gone = {node for node, since in self._absent.items() if now - since >= self._patience(node)}
        self._seen.update(present)
        return {job: strand(one, gone) for job, one in known.items()}

    def _patience(self, node: str) -> float:
        return BETWEEN_SECONDS if node in self._seen else LEASE_SECONDS
