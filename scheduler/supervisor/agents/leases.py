"""Leases: the instances, attempts and reducers' inputs that answer a poll; how many instances is up to `targets`.

`engine.locality` chooses which of a pool's tasks a node is given. An intermediate that lies on another node comes with
the address at which that node's agent serves it. So tasks of a node whose agent is away for a moment wait until the
agent is back or lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from scheduler.engine.availability import Availability
from scheduler.engine.locality import Home, choose
from scheduler.model import naming
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.phase import PhaseSpec
from scheduler.model.wire import (
    MAX_COUNTED,
    BlobRef,
    FeedPage,
    FeedSource,
    FeedState,
    PoolGrant,
    TaskLease,
)
from scheduler.objects import namespace
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection, Row
from scheduler.supervisor.agents import lease_bounds
from scheduler.supervisor.agents.pool_specs import IssueToken, blob_of, pool_spec
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.operations import attempts

# First attempts per instance of a pool that is new to an agent, until the agent says how many it wants. If there are
# other nodes, only one, so that none waits here behind a long one.
FIRST_ATTEMPTS = 2
INFINITE = float("inf")
# Ranges of its input that a lease has; the agent asks for more.
FIRST_SOURCES = MAX_COUNTED

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


# The entries that have replaced inputs since these were dispatched, by path; once the leases are committed.
Replaced = Callable[[], Mapping[str, Entry]]


def picks(session: AgentSession, jobs: LiveJobs, nodes: Nodes, pool: int, limit: int, now: float) -> Picks:
    """Ready tasks of a pool that an agent is given, at most `limit`: how many that belong to which node."""
    located, live = jobs.located.of(pool), jobs.by_pool(pool)
    limit = min(limit, lease_bounds.may_begin(jobs, nodes.values(), pool))
    if limit <= 0:
        return []
    if not located:
        return [(None, min(limit, jobs.ready[pool]))] if jobs.ready[pool] > 0 else []
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
) -> tuple[list[Granted], Replaced]:
    """Lease attempts for each want, in one transaction; and what has replaced inputs of theirs since the dispatch."""
    grants, objects, room = [], list[tuple[str, str]](), lease_bounds.MAX_LEASE_BYTES
    for want in found:
        rows = lease_rows(c, want.pool, session.id, want.picks, now)
        if want.live.spec.operation is not None:
            rows = lease_bounds.allowed(c, want.live, rows, now)
        tasks = task_leases(c, want.live, rows, session.node, nodes)
        if want.live.spec.operation is not None:
            fitting, room = lease_bounds.fit(tasks, room)
            attempts.unscheduled(c, want.live, rows[fitting:], AbortReason.SCHEDULING_JOB_SPEC_THROTTLING, now)
            rows, tasks = rows[:fitting], tasks[:fitting]
            attempts.begin(c, want.live, rows, session.node, now)
        spec = pool_spec(c, want.live, want.pool, session.node, issue_token) if want.new else None
        granted = PoolGrant(pool=want.pool, instances=want.instances, spec=spec, tasks=tasks)
        taken = Counter(row["node"] for row in rows if row["node"])
        inputs = [row["node"] for row in rows if row["node"] and row["reducer"] is None]
        local = inputs.count(session.node)
        grants.append(Granted(granted, taken, local, len(inputs) - local))
        objects += objects_of(want.live, rows)
    return grants, namespace.replaced_along(c, objects) if objects else dict


def objects_of(live: LiveJob, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The objects that tasks of a pipeline read by name, as they were dispatched: path and etag of each.

    An operation reads what was pinned.
    """
    if live.spec.operation is not None:
        return []
    return [(row["input"], row["blob"]) for row in rows if row["input"] and not row["availability"]]


def up_to_date(granted: Sequence[Granted], replaced: Mapping[str, Entry]) -> list[PoolGrant]:
    """The grants, with the objects that have replaced inputs of their tasks since these were dispatched."""
    return [_with_objects(given.grant, replaced) if replaced else given.grant for given in granted]


def _with_objects(grant: PoolGrant, replaced: Mapping[str, Entry]) -> PoolGrant:
    tasks = []
    for task in grant.tasks:
        entry = replaced.get(task.input or "")
        tasks.append(task if entry is None else replace(task, blob=blob_of(entry)))
    return grant.model_copy(update={"tasks": tasks})


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
        return [task_lease(live, row, node, nodes, first_page(c, live, row, node, nodes)) for row in rows]
    return [task_lease(live, row, node, nodes) for row in rows]


def first_page(c: Connection, live: LiveJob, row: Row, node: str, nodes: Nodes) -> FeedPage | None:
    """The first page of the input of a fed task, all of which is known."""
    if row["input"] is not None:
        return None
    feed = FeedState(task=row["id"], attempt=row["attempt"], after=0, room=FIRST_SOURCES)
    statements = feed_statements(live.spec.phases[live.phase_of(row["pool"])])
    return feed_page(c, Hungry(feed, ended=True, pinned=True, statements=statements), node, nodes)


def task_lease(live: LiveJob, row: Row, node: str, nodes: Nodes, feed: FeedPage | None = None) -> TaskLease:
    """The lease of a task. `feed`: what is known of its input."""
    blob = None if row["blob"] is None else blob_now(row, None, node, nodes, row["md5"])
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


def blob_now(row: Row, replaced: Entry | None, node: str, nodes: Nodes, md5: str | None = None) -> BlobRef:
    """A reference to the bytes of an input, for an agent of `node`.

    They are those of the dispatched object, or of the one that has replaced it since.
    """
    if replaced is not None:
        return blob_of(replaced)
    at = row["node"] if row["availability"] else None
    holder = nodes.get(at) if at is not None and at != node else None
    source = holder.source(row["blob"], node) if holder else None
    return BlobRef(id=row["blob"], size=row["size"], md5=md5 or None, node=at, source=source)


@dataclass(frozen=True, slots=True)
class Hungry:
    """A running task that wants more input. `ended`: all of its input is known; `pinned`: it reads what was pinned.

    `statements`: those that find its input, of which the first with any rows counts.
    """

    state: FeedState
    ended: bool
    pinned: bool
    statements: Sequence[str] = ("feed_page",)


def feed_statements(phase: PhaseSpec) -> tuple[str, ...]:
    """The statements that find the input of a phase's tasks, which may be their own or that of the whole stage."""
    if phase.merges and not phase.joins:
        return ("feed_pins_page",)
    return ("feed_shared_page", "feed_page") if phase.partitioned else ("feed_page",)


def find_input(c: Connection, statements: Sequence[str], task: int, after: int, limit: int) -> Sequence[Row]:
    """Inputs of a task behind one of them, in order."""
    pages = (c.all(statement, task=task, after=after, limit=limit) for statement in statements)
    return next((page for page in pages if page), ())


def feed_pages(c: Connection, feeds: Iterable[Hungry], node: str, nodes: Nodes) -> list[FeedPage]:
    """The next pages of input for running tasks of `node`."""
    return [page for feed in feeds if (page := feed_page(c, feed, node, nodes))]


def feed_page(c: Connection, hungry: Hungry, node: str, nodes: Nodes) -> FeedPage | None:
    """The next inputs of a task that is fed, or None if there are none to send.

    Inputs come in order: one that is being recomputed, or whose node is away, holds up those behind it.
    """
    feed = hungry.state
    rows = find_input(c, hungry.statements, feed.task, feed.after, feed.room)
    there = list(takewhile(lambda row: _at_hand(row, node, nodes), rows))
    end = hungry.ended and len(rows) < feed.room and len(there) == len(rows)
    if not there and not end:
        return None
    known = [] if hungry.pinned else [(row["name"], row["blob"]) for row in there if not row["availability"]]
    replaced = namespace.replaced(c, known) if known else {}
    sources = [feed_source(row, replaced.get(row["name"]), node, nodes) for row in there]
    return FeedPage(task=feed.task, attempt=feed.attempt, sources=sources, end=end)


def feed_source(row: Row, replaced: Entry | None, node: str, nodes: Nodes) -> FeedSource:
    """One input of a task that is fed. `replaced`: the object that has replaced it since dispatch, if any."""
    blob = blob_now(row, replaced, node, nodes)
    if row["start"] is None:
        name = row["name"] if row["part"] is None else ""
        return FeedSource(seq=row["seq"], blob=blob, name=name, part=row["part"], dictionary=row["dictionary"])
    edges = {"start": row["start"], "length": row["length"], "skip": row["skip"] or 0, "upto": row["upto"] or 0}
    return FeedSource(seq=row["seq"], blob=blob, name=row["name"], **edges)


def _at_hand(row: Row, node: str, nodes: Nodes) -> bool:
    """Whether an agent of `node` can get an input. It may try a lost one that it was told of before."""
    availability = Availability(row["availability"])
    if availability.is_awaited:
        return False
    return availability is not Availability.HERE or row["node"] in (None, node) or row["node"] in nodes
