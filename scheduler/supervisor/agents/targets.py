"""Targets: how many instances each pool should have on a node, and which may begin now.

Three kinds of instances share a node. *Steady* tasks always make progress: maps, and reducers whose input has ended.
They get the slots. A reducer whose input is still open may block for as long as the phases before it need; in a slot
it could hold up the very tasks it waits for. So such reducers get the same number of places again, of their own, and
those that find no place wait until their input has ended. So no set of jobs can deadlock. Input that has ended opens
again while some of it is lost and being recomputed.

Both kinds share one memory. Reducers that may block get at most half of it, and no more than leaves room for the
largest instance of their jobs, so that the tasks they wait for can always begin.

Sessions of users have places of their own, too (`engine.session_places`), and come first. Together they get at most
half of the memory, and leave room for the tasks that reducers wait for.
"""

from __future__ import annotations

from scheduler.engine import fair_share, session_places
from scheduler.engine.admission import admit, memory_taken
from scheduler.engine.feasibility import Tiers
from scheduler.supervisor.agents.account_limits import Allowed, node_part
from scheduler.supervisor.agents.lease_bounds import may_begin
from scheduler.supervisor.agents.leases import Nodes, picks
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs

# Seconds that a pool keeps an instance before another pool may take it.
QUANTUM = 2.0


def targets(session: AgentSession, jobs: LiveJobs, nodes: Nodes, now: float, most: int | None) -> dict[int, int]:
    """Number of instances that each pool should have on this agent's node. `most`: of all accounts, on all nodes."""
    if session.booked:
        return booked_targets(session, jobs)
    steady: list[fair_share.PoolShare] = []
    blocking: list[fair_share.PoolShare] = []
    sessions: list[fair_share.PoolShare] = []
    upstream = 0  # the largest tier of jobs with reducers that may block
    for live in jobs:
        for phase, pool in zip(live.spec.phases, live.pools, strict=True):
            fits = Tiers.of(phase).within(session.offer)
            demand = takeable(session, jobs, nodes, pool, now) + session.held[pool] if fits and not live.done else 0
            claim = claim_of(session, live, pool, demand, phase.memory_mb, now)
            if not (demand or claim.taken):
                continue
            kind = blocking if live.may_block(pool) else sessions if live.spec.is_session else steady
            kind.append(claim)
            if kind is blocking:
                fitting = [each.memory_mb for each in live.spec.phases if Tiers.of(each).within(session.offer)]
                upstream = max(upstream, *fitting)
    within = Allowed(session, jobs, nodes)
    steady, blocking, sessions = (list(map(within, kind)) for kind in (steady, blocking, sessions))
    return shared_out(session, steady, blocking, sessions, upstream, node_part(most, session, nodes.values()))


def claim_of(
    session: AgentSession, live: LiveJob, pool: int, demand: int, memory_mb: int, now: float
) -> fair_share.PoolShare:
    """The demand and instances of a pool on the agent's node, for fair share."""
    since = session.since.get(pool, 0.0)
    return fair_share.PoolShare(
        pool,
        demand,
        session.told.get(pool, 0),
        memory_mb,
        since,
        now - since > QUANTUM,
        account=live.owner,
        present=session.present(pool),
    )


def shared_out(
    session: AgentSession,
    steady: list[fair_share.PoolShare],
    blocking: list[fair_share.PoolShare],
    sessions: list[fair_share.PoolShare],
    upstream: int,
    part: int,
) -> dict[int, int]:
    """Targets of all kinds, reduced to the instances that may begin now. `part`: slots of the node that count."""
    room = capacity(session, [*steady, *sessions], part)
    free = room.memory_mb - memory_taken([*steady, *blocking, *sessions]) - session.ending_mb
    for_seats = min(free - upstream, room.memory_mb // 2 - memory_taken(sessions))
    seats = 0 if session.draining else session.slots - session.disabled
    given = session_places.seats(sessions, seats, for_seats)
    free -= sum(pool.memory_mb for pool in sessions if given.get(pool.id) and not pool.taken)
    seated_mb = sum(max(pool.taken, given[pool.id]) * pool.memory_mb for pool in sessions if pool.id in given)
    steady = steady + [pool for pool in sessions if pool.id not in given]
    held = memory_taken(blocking)
    most = min(room.memory_mb // 2, room.memory_mb - upstream - seated_mb)  # for those that may block
    wanted = fair_share.share(steady, fair_share.Capacity(room.slots, room.memory_mb - held - seated_mb))
    admitted = admit(steady, wanted, room.slots, free, session.ending)
    free -= sum(max(0, admitted[pool.id] - pool.taken) * pool.memory_mb for pool in steady)
    wanted = fair_share.share(blocking, fair_share.Capacity(room.slots, max(0, most)))
    return given | admitted | admit(blocking, wanted, room.slots, min(free, most - held), session.ending)


def capacity(session: AgentSession, pools: list[fair_share.PoolShare], part: int) -> fair_share.Capacity:
    """The slots and memory of a node that this supervisor may use.

    If other supervisors use most of the memory, the largest tier still gets it, for one instance: else it could wait
    for ever.
    """
    largest = max((pool.memory_mb for pool in pools if pool.demand), default=0)
    return fair_share.Capacity(session.usable_slots(part), max(session.offer.memory_mb - session.away_mb, largest))


def booked_targets(session: AgentSession, jobs: LiveJobs) -> dict[int, int]:
    """Targets where Nomad places instances: the existing ones that are needed; 0 where none is to begin."""
    booked = {state.pool: session.may_have(state.pool, state.booked or 0) for state in session.state.pools}
    wanted = dict.fromkeys(session.told, 0) | booked
    return {pool: count for pool, count in wanted.items() if (live := jobs.by_pool(pool)) and not live.done}


def takeable(session: AgentSession, jobs: LiveJobs, nodes: Nodes, pool: int, now: float) -> int:
    """Number of ready tasks of a pool that the agent may be given."""
    ready = may_begin(jobs, nodes.values(), pool)
    return sum(count for _, count in picks(session, jobs, nodes, pool, ready, now)) if jobs.located.of(pool) else ready
