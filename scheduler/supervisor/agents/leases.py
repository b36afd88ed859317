"""Leases: the instances, attempts and reducers' inputs that answer a poll.

Two kinds of instances share a node. *Steady* tasks always make progress: maps, and reducers whose input has ended.
They get the slots. A reducer whose input is still open may block for as long as the phases before it need; in a slot
it could hold up the very tasks it waits for. So such reducers get the same number of places again, of their own, and
those that find no place wait until their input has ended. So no set of jobs can deadlock. Input that has ended opens
again while some of it is lost and being recomputed.

Both kinds share one memory. Reducers that may block get at most half of it, and no more than leaves room for the
largest instance of their jobs, so that the tasks they wait for can always begin.

`engine.locality` chooses which of a pool's tasks a node is given. An intermediate that lies on another node comes with
the address at which that node's agent serves it. So tasks of a node whose agent is away for a moment wait until the
agent is back or lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from scheduler.engine import fair_share
from scheduler.engine.admission import admit, memory_taken
from scheduler.engine.availability import Availability
from scheduler.engine.feasibility import Tiers
from scheduler.engine.locality import Home, choose
from scheduler.model import naming
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import (
    MAX_COUNTED,
    Asset,
    BlobRef,
    FeedPage,
    FeedSource,
    FeedState,
    PoolGrant,
    PoolSpec,
    TaskLease,
)
from scheduler.objects import namespace
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection, Row
from scheduler.supervisor.agents.account_limits import Allowed, shorter
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs.resolve import resolve
from scheduler.supervisor.operations import attempts

# Seconds that a pool keeps an instance before another pool may take it.
QUANTUM = 2.0
# First attempts per instance of a pool that is new to an agent, until the agent says how many it wants. If there are
# other nodes, only one, so that none waits here behind a long one.
FIRST_ATTEMPTS = 2
INFINITE = float("inf")
# Ranges of its input that a lease has; the agent asks for more.
FIRST_SOURCES = MAX_COUNTED

IssueToken = Callable[[str, str, str], str]  # (login, job, node) -> token
Nodes = Mapping[str, AgentSession]  # registered agents, by node
Picks = list[tuple[str | None, int]]  # how many tasks that belong to which node


@dataclass(frozen=True, slots=True)
class Want:
    """The next grant of one pool. `new`: the agent does not know the pool yet, and needs its spec."""

    live: LiveJob
    pool: int
    instances: int
    picks: Picks
    new: bool


@dataclass(frozen=True, slots=True)
class Granted:
    """The result of a Want. `taken`: the number of its tasks by the node that they belonged to.

    Of its map tasks that read an intermediate, `local` run on the node that has it, `remote` elsewhere.
    """

    grant: PoolGrant
    taken: Counter[str]
    local: int = 0
    remote: int = 0


def targets(session: AgentSession, jobs: LiveJobs, nodes: Nodes, now: float) -> dict[int, int]:
    """Number of instances that each pool should have on this agent's node."""
    if session.booked:
        return booked_targets(session, jobs)
    steady: list[fair_share.PoolShare] = []
    blocking: list[fair_share.PoolShare] = []
    upstream = 0  # the largest tier of jobs with reducers that may block
    for live in jobs:
        for phase, pool in zip(live.spec.phases, live.pools, strict=True):
            fits = Tiers.of(phase).within(session.offer)
            demand = takeable(session, jobs, nodes, pool, now) + session.held[pool] if fits and not live.done else 0
            claim = claim_of(session, live, pool, demand, phase.memory_mb, now)
            if not (demand or claim.taken):
                continue
            (blocking if live.may_block(pool) else steady).append(claim)
            if live.may_block(pool):
                fitting = [each.memory_mb for each in live.spec.phases if Tiers.of(each).within(session.offer)]
                upstream = max(upstream, *fitting)
    within = Allowed(session, jobs, nodes)
    return shared_out(session, list(map(within, steady)), list(map(within, blocking)), upstream)


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
    session: AgentSession, steady: list[fair_share.PoolShare], blocking: list[fair_share.PoolShare], upstream: int
) -> dict[int, int]:
    """Targets of both kinds, reduced to the instances that may begin now."""
    room = capacity(session, steady)
    held = memory_taken(blocking)
    most = min(room.memory_mb // 2, room.memory_mb - upstream)  # for those that may block
    free = room.memory_mb - held - memory_taken(steady) - session.ending_mb
    wanted = fair_share.share(steady, fair_share.Capacity(room.slots, room.memory_mb - held))
    given = admit(steady, wanted, room.slots, free, session.ending)
    free -= sum(max(0, given[pool.id] - pool.taken) * pool.memory_mb for pool in steady)
    wanted = fair_share.share(blocking, fair_share.Capacity(room.slots, max(0, most)))
    return given | admit(blocking, wanted, room.slots, min(free, most - held), session.ending)


def capacity(session: AgentSession, pools: list[fair_share.PoolShare]) -> fair_share.Capacity:
    """The slots and memory of a node that this supervisor may use.

    If other supervisors use most of the memory, the largest tier still gets it, for one instance: else it could wait
    for ever.
    """
    slots = max(0, session.slots - session.disabled - session.away)
    largest = max((pool.memory_mb for pool in pools if pool.demand), default=0)
    return fair_share.Capacity(slots, max(session.offer.memory_mb - session.away_mb, largest))


def booked_targets(session: AgentSession, jobs: LiveJobs) -> dict[int, int]:
    """Targets where Nomad places instances: the existing ones that are needed; 0 where none is to begin."""
    booked = {state.pool: session.may_have(state.pool, state.booked or 0) for state in session.state.pools}
    wanted = dict.fromkeys(session.told, 0) | booked
    return {pool: count for pool, count in wanted.items() if (live := jobs.by_pool(pool)) and not live.done}


def takeable(session: AgentSession, jobs: LiveJobs, nodes: Nodes, pool: int, now: float) -> int:
    """Number of ready tasks of a pool that the agent may be given."""
    ready = jobs.ready[pool]
    return sum(count for _, count in picks(session, jobs, nodes, pool, ready, now)) if jobs.located.of(pool) else ready


def picks(session: AgentSession, jobs: LiveJobs, nodes: Nodes, pool: int, limit: int, now: float) -> Picks:
    """Ready tasks of a pool that an agent is given, at most `limit`: how many that belong to which node."""
    located = jobs.located.of(pool)
    if limit <= 0:
        return []
    if not located:
        return [(None, min(limit, jobs.ready[pool]))] if jobs.ready[pool] > 0 else []
    live = jobs.by_pool(pool)
    free = jobs.ready[pool] - sum(located.values())
    others = {}
    for node, ready in located.items():
        home = nodes.get(node)
        if node == session.node or ready <= 0:
            continue
        if home is not None:
            backlog = jobs.located.backlog(pool, node)
            assert backlog is not None
            soon = max(home.held[pool], backlog.pace(now))
            others[node] = Home(ready, soon, not home.full(pool), now - backlog.took, now - backlog.since)
        elif live and live.spec.phases[live.phase_of(pool)].fed:  # it reads from many nodes, and can run anywhere
            others[node] = Home(ready, 0, False, INFINITE, INFINITE)
    chosen = choose(limit, located.get(session.node, 0), free, others)
    return [(session.node if node == "" else node, count) for node, count in chosen]


def wants(session: AgentSession, jobs: LiveJobs, nodes: Nodes, wanted: Mapping[int, int], now: float) -> list[Want]:
    """The pools that the agent must be told about: another number of instances, or more attempts."""
    found = []
    for pool, instances in wanted.items():
        live = jobs.by_pool(pool)
        if live is None or live.done:
            continue
        room = session.room(pool)
        new = pool not in session.told
        if room is None or (new and session.booked):
            room = (FIRST_ATTEMPTS if len(nodes) == 1 else 1) * instances if new else 0
        if live.spec.phases[live.phase_of(pool)].blocking:
            room = min(room, instances - session.held[pool])  # what may block never queues behind another
        chosen = picks(session, jobs, nodes, pool, room, now) if instances else []
        if chosen or instances != session.told.get(pool, 0):
            found.append(Want(live, pool, instances, chosen, new))
    return found


def grant(
    c: Connection, session: AgentSession, nodes: Nodes, found: list[Want], issue_token: IssueToken, now: int
) -> list[Granted]:
    """Lease attempts for each want, in one transaction."""
    grants = []
    for want in found:
        rows = lease_rows(c, want.pool, session.id, want.picks, now)
        if want.live.spec.operation is not None:
            attempts.begin(c, want.live, rows, session.node, now)
        tasks = task_leases(c, want.live, rows, session.node, nodes)
        spec = pool_spec(c, want.live, want.pool, session.node, issue_token) if want.new else None
        granted = PoolGrant(pool=want.pool, instances=want.instances, spec=spec, tasks=tasks)
        taken = Counter(row["node"] for row in rows if row["node"])
        inputs = [row["node"] for row in rows if row["node"] and row["reducer"] is None]
        local = inputs.count(session.node)
        grants.append(Granted(granted, taken, local, len(inputs) - local))
    return grants


def lease_rows(c: Connection, pool: int, agent: int, chosen: Picks, now: int) -> list[Row]:
    """Lease ready tasks of a pool to an agent; returns their rows, the oldest task first."""
    rows = []
    for node, count in chosen:
        if node is None:
            rows += c.all("lease_tasks", pool=pool, agent=agent, limit=count, now=now)
        else:
            rows += c.all("lease_tasks_at", pool=pool, agent=agent, node=node, limit=count, now=now)
    return sorted(rows, key=lambda row: int(row["id"]))


def task_leases(c: Connection, live: LiveJob, rows: Sequence[Row], node: str, nodes: Nodes) -> list[TaskLease]:
    """The leases of rows, for an agent of `node`."""
    if live.spec.operation is not None:  # it reads what was pinned
        return [task_lease(live, row, None, node, nodes, first_page(c, row, node, nodes)) for row in rows]
    known = [(row["input"], row["blob"]) for row in rows if row["input"] and not row["own"]]
    replaced = namespace.replaced(c, known) if known else {}
    return [task_lease(live, row, replaced.get(row["input"]), node, nodes) for row in rows]


def first_page(c: Connection, row: Row, node: str, nodes: Nodes) -> FeedPage | None:
    """The first page of the input of a fed task, all of which is known."""
    if row["input"] is not None:
        return None
    feed = FeedState(task=row["id"], attempt=row["attempt"], after=0, room=FIRST_SOURCES)
    return feed_page(c, feed, True, node, nodes, pinned=True)


def task_lease(
    live: LiveJob, row: Row, replaced: Entry | None, node: str, nodes: Nodes, feed: FeedPage | None = None
) -> TaskLease:
    """The lease of a task.

    `replaced`: the object that has replaced its input since dispatch, if any; `feed`: what is known of its input.
    """
    blob = None if row["blob"] is None else blob_now(row, replaced, node, nodes, row["md5"])
    return TaskLease(
        task=row["id"],
        uuid=row["uuid"],
        attempt=row["attempt"],
        base=base_of(live, row),
        input=row["input"],
        blob=blob,
        part=row["reducer"],
        fed=row["input"] is None,
        feed=feed,
        number=row["number"],
    )


def base_of(live: LiveJob, row: Row) -> str:
    """The base of the names of what a task leaves."""
    if row["input"] is None and (kind := live.kind(live.phase_of(row["pool"]))) is not None:
        return f"/{kind}"
    return naming.base_of(live.owner, live.uuid, row["input"], row["origin"])


def pool_spec(c: Connection, live: LiveJob, pool: int, node: str, issue_token: IssueToken) -> PoolSpec:
    """The description of a pool that an agent needs to run its tasks, with a token for them."""
    number = live.phase_of(pool)
    phase, operation = live.spec.phases[number], live.spec.operation
    assets, problem = find_assets(c, live.owner, phase.assets)
    return PoolSpec(
        pool=pool,
        job=live.uuid,
        login=live.owner,
        phase=number,
        blocking=phase.blocking,
        exec=phase.exec,
        init=phase.init,
        counting=phase.counting,
        ends_lines=phase.ends_lines,
        assets=assets,
        init_error=problem,
        memory_mb=phase.memory_mb,
        disk_gb=phase.disk_gb,
        image=phase.image,
        timeout_s=shorter(phase.timeout_s, live.limits.task_seconds),
        last=operation is not None or number + 1 == len(live.pools),
        next_reducers=live.next_reducers(number),
        token=issue_token(live.owner, live.uuid, node),
        operation=operation.type if operation else None,
        stderr_bytes=operation.stderr.bytes if operation else 0,
    )


def find_assets(c: Connection, owner: str, names: tuple[str, ...]) -> tuple[list[Asset], str | None]:
    """The assets as blobs, or the message of the TaskInitError that every task of the phase gets."""
    found = resolve(c, owner, names)
    assets = []
    for name in names:
        answer = found[name]
        if isinstance(answer, tuple):
            status = 403 if answer[0] == JobErrorCode.AUTHORIZATION else 404
            reason = f'error retrieving asset "{name}" (status code {status})'
            return [], f"failed to dispatch task: first of 1 error: {reason}"
        assets.append(Asset(name=answer.path, blob=blob_of(answer)))
    return assets, None


def blob_now(row: Row, replaced: Entry | None, node: str, nodes: Nodes, md5: str | None = None) -> BlobRef:
    """A reference to the bytes of an input, for an agent of `node`.

    They are those of the dispatched object, or of the one that has replaced it since.
    """
    if replaced is not None:
        return blob_of(replaced)
    at = row["node"] if row["own"] else None
    holder = nodes.get(at) if at is not None and at != node else None
    source = holder.source(row["blob"], node) if holder else None
    return BlobRef(id=row["blob"], size=row["size"], md5=md5 or None, node=at, source=source)


def blob_of(entry: Entry) -> BlobRef:
    """A reference to the bytes of an object."""
    assert entry.etag is not None and entry.size is not None
    return BlobRef(id=entry.etag, size=entry.size, md5=entry.md5 or None)


@dataclass(frozen=True, slots=True)
class Hungry:
    """A running task that wants more input. `ended`: all of its input is known; `pinned`: it reads what was pinned."""

    state: FeedState
    ended: bool
    pinned: bool


def feed_pages(c: Connection, feeds: Iterable[Hungry], node: str, nodes: Nodes) -> list[FeedPage]:
    """The next pages of input for running tasks of `node`."""
    return [page for feed in feeds if (page := feed_page(c, feed.state, feed.ended, node, nodes, feed.pinned))]


def feed_page(
    c: Connection, feed: FeedState, ended: bool, node: str, nodes: Nodes, pinned: bool = False
) -> FeedPage | None:
    """The next inputs of a task that is fed, or None if there are none to send.

    Inputs come in order: one that is being recomputed, or whose node is away, holds up those behind it.
    """
    rows = c.all("feed_page", task=feed.task, after=feed.after, limit=feed.room)
    there = list(takewhile(lambda row: _at_hand(row, node, nodes), rows))
    end = ended and len(rows) < feed.room and len(there) == len(rows)
    if not there and not end:
        return None
    known = [] if pinned else [(row["name"], row["blob"]) for row in there if not row["own"]]
    replaced = namespace.replaced(c, known) if known else {}
    sources = [feed_source(row, replaced.get(row["name"]), node, nodes) for row in there]
    return FeedPage(task=feed.task, attempt=feed.attempt, sources=sources, end=end)


def feed_source(row: Row, replaced: Entry | None, node: str, nodes: Nodes) -> FeedSource:
    """One input of a task that is fed. `replaced` as for `task_lease`."""
    blob = blob_now(row, replaced, node, nodes)
    if row["start"] is None:
        return FeedSource(seq=row["seq"], blob=blob)
    edges = {"start": row["start"], "length": row["length"], "skip": row["skip"] or 0, "upto": row["upto"] or 0}
    return FeedSource(seq=row["seq"], blob=blob, name=row["name"], **edges)


def _at_hand(row: Row, node: str, nodes: Nodes) -> bool:
    """Whether an agent of `node` can get an input. It may try a lost one that it was told of before."""
    availability = Availability(row["own"])
    if availability.is_awaited:
        return False
    return availability is not Availability.HERE or row["node"] in (None, node) or row["node"] in nodes
