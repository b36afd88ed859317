"""Unreachable instances: those on nodes that are lost, although Nomad counts them as running.

Nomad gives a node up after half a minute; this supervisor has had no word from its agent for ten seconds by then, and
the node's tasks are to run elsewhere. So an instance that Nomad counts as running on a node without an agent is
*stranded*: it was requested, but is of no use.

An agent that was registered is gone as soon as its lease is over, except for a moment in which it may register anew. An
agent that never was registered may be about to come: a supervisor that has just begun waits for it as long as a lease.

Example: 2 reducers on n3, whose cable is cut. After 10 s n3 has no session here: `standing` says 2 stranded, none live,
and 2 are reserved elsewhere. At 30 s Nomad gives n3 up, and would replace them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from scheduler.model.wire import LEASE_SECONDS
from scheduler.nomad.reconcile import Known, strand

# Seconds between the end of an agent's registration and its next one, at most.
BETWEEN_SECONDS = 0.5


class UnreachableInstances:
    """The nodes that had an agent, and since when others have had none."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._absent: dict[str, float] = {}

    def standing(self, known: Mapping[str, Known], present: Collection[str], now: float) -> dict[str, Known]:
        """The same jobs without stranded instances.

        `present`: nodes with a registered agent; `now`: monotonic seconds.
        """
        nodes = {node for one in known.values() for node in one.at}
        self._absent = {node: self._absent.get(node, now) for node in nodes if node not in present}
        gone = {node for node, since in self._absent.items() if now - since >= self._patience(node)}
        self._seen.update(present)
        return {job: strand(one, gone) for job, one in known.items()}

    def _patience(self, node: str) -> float:
        return BETWEEN_SECONDS if node in self._seen else LEASE_SECONDS
