"""Demand: what the pools of this supervisor can use in the cluster, for `engine.instance_counts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from scheduler.engine.fair_share import Capacity
from scheduler.engine.instance_counts import Demand, Place
from scheduler.nomad.job_documents import Booking
from scheduler.nomad.reconcile import Known
from scheduler.supervisor.agents.account_limits import node_part, within
from scheduler.supervisor.agents.lease_bounds import most_tasks
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.agents.targets import QUANTUM
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs


def open_nodes(sessions: Collection[AgentSession], most: int | None) -> dict[str, Capacity]:
    """The nodes on which instances may be reserved, and what this supervisor may reserve there; `most`: in all."""
    able = (session for session in sessions if session.booked and not session.draining)
    return {
        session.node: Capacity(
            session.usable_slots(node_part(most, session, sessions)), max(0, session.offer.memory_mb - session.away_mb)
        )
        for session in able
    }


def slots_in_all(sessions: Iterable[AgentSession]) -> int:
    """The slots of the nodes on which instances may be reserved, whichever supervisor uses them."""
    return sum(session.slots - session.disabled for session in sessions if session.booked and not session.draining)


def demands_of(
    jobs: LiveJobs, sessions: Iterable[AgentSession], known: Iterable[Known], since: Mapping[int, float], now: float
) -> list[Demand]:
    """The demand of each pool that has tasks or instances. `since`: when it last got or lost an instance, by pool."""
    held: dict[int, Counter[str]] = {}
    for session in sessions:
        for pool, tasks in session.held.items():
            held.setdefault(pool, Counter())[session.node] += tasks
    asked: dict[int, dict[Place, int]] = {}
    for one in known:
        asked.setdefault(one.booking.pool, {})[one.booking.node] = one.asked
    found = []
    left: dict[str, int] = {}  # instances that accounts may have besides those above
    for live in jobs:
        for number, pool in enumerate(live.pools):
            demand = {} if live.done else demand_of(jobs, live, pool, held.get(pool, Counter()))
            if live.limits.instances is not None:
                demand = within(demand, left.setdefault(live.owner, live.limits.instances))
                left[live.owner] -= sum(demand.values())
            if demand or asked.get(pool):
                began = since.get(pool, 0.0)
                memory = live.spec.phases[number].memory_mb
                blocking = live.may_block(pool)
                kind = {"open": blocking, "session": live.spec.is_session and not blocking}
                settled = now - began > QUANTUM
                found.append(
                    Demand(
                        pool,
                        memory,
                        demand,
                        asked.get(pool, {}),
                        **kind,
                        since=began,
                        settled=settled,
                        account=live.owner,
                    )
                )
    return found


def demand_of(jobs: LiveJobs, live: LiveJob, pool: int, held: Counter[str]) -> dict[Place, int]:
    """Number of tasks that may begin or run, by the node that they belong to."""
    located = jobs.located.of(pool)
    demand: Counter[Place] = Counter()
    if not (live.suspended or live.lacking):
        demand.update({node: count for node, count in located.items() if count > 0})
        demand[None] += max(0, jobs.ready[pool] - demand.total())
    if (most := most_tasks(live)) is not None and demand.total() > (room := max(0, most - held.total())):
        demand = Counter({None: room})
    for node, tasks in held.items():
        demand[node if node in located else None] += max(0, tasks)
    return {place: count for place, count in demand.items() if count}


def booking_of(live: LiveJob, pool: int, place: Place) -> Booking:
    number = live.phase_of(pool)
    phase = live.spec.phases[number]
    return Booking(pool, live.uuid, number, phase.memory_mb, phase.disk_gb, place)
