"""Limits on what runs: instances at once, of an account and of all, and the time of a task.

Those of accounts are what held when the supervisor read the job. Instances are bounded by demand: a pool whose account
has all that it may have has no demand for more, and what fair share does not give to it others get.

The limit of all accounts together is divided among the nodes by their slots, at least one each, so that a task that
fits one node only is not locked out by others elsewhere. Of a node's part the fair share is as of a smaller node.

Example: jill may have 8 instances, and has 5 on another node. Here her pools, with 6 ready tasks each, have a demand of
3 and 0. All may have 6 instances, on nodes with 12 and 4 slots: 5 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.engine import fair_share
from scheduler.engine.instance_counts import Place
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJobs


class Allowed:
    """Bounds the demand of claims by the limits of their accounts on instances, those on other nodes included."""

    def __init__(self, session: AgentSession, jobs: LiveJobs, nodes: Mapping[str, AgentSession]) -> None:
        self._jobs = jobs
        self._others = [other for other in nodes.values() if other is not session]
        self._left: dict[str, int] = {}

    def __call__(self, claim: fair_share.PoolShare) -> fair_share.PoolShare:
        """The claim with as much demand as its account may have."""
        live = self._jobs.by_pool(claim.id)
        if live is None or live.limits.instances is None:
            return claim
        if claim.account not in self._left:
            self._left[claim.account] = max(0, live.limits.instances - self._elsewhere(claim.account))
        demand = min(claim.demand, self._left[claim.account])
        self._left[claim.account] -= demand
        return replace(claim, demand=demand)

    def _elsewhere(self, account: str) -> int:
        """The instances that an account was told to have on other nodes."""
        return sum(
            count
            for other in self._others
            for pool, count in other.told.items()
            if (live := self._jobs.by_pool(pool)) is not None and live.owner == account
        )


def node_part(most: int | None, session: AgentSession, nodes: Iterable[AgentSession]) -> int:
    """The slots of a node that count if all accounts together may have `most` instances."""
    if most is None:
        return session.slots
    slots = sum(node.slots for node in nodes if not node.draining)
    return session.slots if slots <= most else max(1, math.ceil(most * session.slots / slots)) if most else 0


def within(demand: Mapping[Place, int], most: int) -> dict[Place, int]:
    """A pool's demand, cut to so many instances; what belongs to a node comes first."""
    found = {}
    for place, count in sorted(demand.items(), key=lambda item: (item[0] is None, item[0] or "")):
        if given := min(count, most):
            found[place] = given
            most -= given
    return found


def shorter(seconds: int | None, most: int | None) -> int | None:
    """How long a task may run: as its phase says, but no longer than its account may let one run."""
    return most if seconds is None else seconds if most is None else min(seconds, most)
