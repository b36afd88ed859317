"""What a poll is answered with: instances, attempts, inputs of reducers.

Two kinds of instances share a node. Tasks that always make progress (maps, and reducers
whose input has ended) get the slots. A reducer whose input is still open may block for as
long as the phases before it need, so if it sat in a slot it could hold up the very tasks it
waits for: such reducers get as many places again, of their own, and those that find no place
wait until their input has ended. So no set of jobs can lock itself up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.engine import share
from scheduler.engine.fit import Tiers
from scheduler.model import naming
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import Asset, BlobRef, FeedPage, FeedSource, FeedState, PoolGrant, PoolSpec, TaskLease
from scheduler.objects import namespace
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection, Row
from scheduler.supervisor.agents import AgentSession
from scheduler.supervisor.live import LiveJob, LiveJobs
from scheduler.supervisor.resolve import resolve

# Seconds that a pool keeps an instance before another may ask for it.
QUANTUM = 2.0
# First attempts per instance of a pool that is new to an agent, before it can say how much it wants.
FIRST_ATTEMPTS = 2

IssueToken = Callable[[str, str], str]  # (login, job) -> token


@dataclass(frozen=True, slots=True)
class Want:
    """What one pool is to be given: `spec` if the agent does not know it."""

    live: LiveJob
    pool: int
    instances: int
    limit: int
    new: bool


def targets(session: AgentSession, jobs: LiveJobs, now: float) -> dict[int, int]:
    """Instances that each pool should have on this agent's node."""
    steady: list[share.Pool] = []
    blocking: list[share.Pool] = []
    for live in jobs:
        for phase, pool in zip(live.spec.phases, live.pools, strict=True):
            fits = Tiers.of(phase).within(session.offer)
            demand = jobs.ready[pool] + session.held[pool] if fits and not live.done else 0
            instances = session.told.get(pool, 0)
            if demand or instances:
                since = session.since.get(pool, 0.0)
                claim = share.Pool(pool, demand, instances, phase.memory_mb, since, now - since > QUANTUM)
                (blocking if phase.reduce and pool not in live.input_ended else steady).append(claim)
    capacity = share.Capacity(max(0, session.slots - session.disabled), session.offer.memory_mb)
    return share.share(steady, capacity) | share.share(blocking, capacity)


def wants(session: AgentSession, jobs: LiveJobs, wanted: Mapping[int, int]) -> list[Want]:
    """Pools that must be told of something: another number of instances, or more attempts."""
    found = []
    for pool, instances in wanted.items():
        live = jobs.by_pool(pool)
        if live is None or live.done:
            continue
        room = session.room(pool)
        new = pool not in session.told
        if room is None:
            room = FIRST_ATTEMPTS * instances if new else 0
        if live.spec.phases[live.phase_of(pool)].reduce:
            room = min(room, instances - session.held[pool])  # a reducer never queues behind another
        limit = max(0, min(room, jobs.ready[pool])) if instances else 0
        if limit or instances != session.told.get(pool, 0):
            found.append(Want(live, pool, instances, limit, new))
    return found


def grant(c: Connection, session: AgentSession, found: list[Want], issue_token: IssueToken) -> list[PoolGrant]:
    """Lease attempts for each want, in one transaction."""
    grants = []
    for want in found:
        tasks = lease_tasks(c, want.live, want.pool, session.id, want.limit) if want.limit else []
        spec = pool_spec(c, want.live, want.pool, issue_token) if want.new else None
        grants.append(PoolGrant(pool=want.pool, instances=want.instances, spec=spec, tasks=tasks))
    return grants


def lease_tasks(c: Connection, live: LiveJob, pool: int, agent: int, limit: int) -> list[TaskLease]:
    """Lease up to `limit` ready tasks of a pool to an agent, the oldest first."""
    rows = c.all("lease_tasks", pool=pool, agent=agent, limit=limit)
    rows.sort(key=lambda row: int(row["id"]))
    known = [(row["input"], row["blob"]) for row in rows if row["input"] and not row["own"]]
    replaced = namespace.replaced(c, known) if known else {}
    return [task_lease(live, row, replaced.get(row["input"])) for row in rows]


def task_lease(live: LiveJob, row: Row, replaced: Entry | None) -> TaskLease:
    """The lease of a task. `replaced`: its input, if that has got other bytes since it was looked up."""
    blob = None if row["blob"] is None else blob_now(row, replaced, row["md5"])
    return TaskLease(
        task=row["id"],
        uuid=row["uuid"],
        attempt=row["attempt"],
        base=naming.base_of(live.owner, live.uuid, row["input"], row["origin"]),
        input=row["input"],
        blob=blob,
        reducer=row["reducer"],
    )


def pool_spec(c: Connection, live: LiveJob, pool: int, issue_token: IssueToken) -> PoolSpec:
    number = live.phase_of(pool)
    phase = live.spec.phases[number]
    assets, problem = find_assets(c, live.owner, phase.assets)
    return PoolSpec(
        pool=pool,
        job=live.uuid,
        login=live.owner,
        phase=number,
        reduce=phase.reduce,
        exec=phase.exec,
        init=phase.init,
        assets=assets,
        init_error=problem,
        memory_mb=phase.memory_mb,
        disk_gb=phase.disk_gb,
        image=phase.image,
        last=number + 1 == len(live.pools),
        next_reducers=live.next_reducers(number),
        token=issue_token(live.owner, live.uuid),
    )


def find_assets(c: Connection, owner: str, names: tuple[str, ...]) -> tuple[list[Asset], str | None]:
    """Assets as blobs, or the message of the TaskInitError that every task of the phase gets."""
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


def blob_now(row: Row, replaced: Entry | None, md5: str | None = None) -> BlobRef:
    """The bytes of an input: as they were when it was looked up, unless the object is another by now."""
    return blob_of(replaced) if replaced is not None else BlobRef(id=row["blob"], size=row["size"], md5=md5 or None)


def blob_of(entry: Entry) -> BlobRef:
    """The bytes of an object."""
    assert entry.etag is not None and entry.size is not None
    return BlobRef(id=entry.etag, size=entry.size, md5=entry.md5 or None)


def feed_pages(c: Connection, feeds: Iterable[tuple[FeedState, bool]]) -> list[FeedPage]:
    """What there is for running reducers, each with whether its input has ended."""
    return [page for feed, ended in feeds if (page := feed_page(c, feed, ended))]


def feed_page(c: Connection, feed: FeedState, ended: bool) -> FeedPage | None:
    """The next inputs of a running reducer, or None if there is nothing to say."""
    rows = c.all("feed_page", task=feed.task, after=feed.after, limit=feed.room)
    end = ended and len(rows) < feed.room
    if not rows and not end:
        return None
    known = [(row["name"], row["blob"]) for row in rows if not row["own"]]
    replaced = namespace.replaced(c, known) if known else {}
    sources = [FeedSource(seq=row["seq"], blob=blob_now(row, replaced.get(row["name"]))) for row in rows]
    return FeedPage(task=feed.task, attempt=feed.attempt, sources=sources, end=end)
