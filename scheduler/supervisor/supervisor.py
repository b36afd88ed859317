"""The supervisor: owner of the shadow, runner of transactions, waker of whoever waits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from scheduler.model.job import JobSpec
from scheduler.model.wire import (
    POLL_SECONDS,
    AttemptId,
    FeedPage,
    FeedState,
    PollReply,
    PollRequest,
    PoolGrant,
    RegisterRequest,
    ReportRequest,
)
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection, Database
from scheduler.supervisor import archive, intake, lease, retention
from scheduler.supervisor.agents import LEASE_SECONDS, AgentSession
from scheduler.supervisor.cancel import cancel_job
from scheduler.supervisor.changes import Changes
from scheduler.supervisor.commit import commit_reports, lose_attempts
from scheduler.supervisor.dispatch import dispatch_page
from scheduler.supervisor.live import LiveJob, LiveJobs, load_job

log = logging.getLogger("remora.supervisor")

# Inputs are dispatched no further ahead than this many ready tasks of the first phase.
AHEAD = 4096
# Seconds between looks at the clock: idle inputs, silent agents, expired records.
HOUSEKEEPING_SECONDS = 5.0


class UnknownAgentError(Exception):
    """The agent never registered here, or was given up: it must register again."""


class Supervisor:
    """One per database. `clock` gives ms since the epoch; `issue_token(login, job)` a credential for tasks."""

    def __init__(self, db: Database, blobs: BlobStore, clock: Callable[[], int], issue_token: lease.IssueToken) -> None:
        self.jobs = LiveJobs()
        self.agent_arrived = asyncio.Event()
        self.outcomes: Callable[[str, int], None] = lambda outcome, count: None  # a metric, if somebody counts
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._issue_token = issue_token
        self._sessions: dict[int, AgentSession] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False

    # Starting and stopping.

    async def start(self) -> None:
        """Take up every live job from the records alone."""
        for live, ready in await self._db.write(_take_up):
            self.jobs.add(live)
            for pool, count in ready.items():
                self.jobs.ready[pool] = count
            self._spawn(retention.reap_job(self._db, self._blobs, live))
            self._work_on(live)
        self._spawn(self._housekeeping())

    def let_go(self) -> None:
        """Answer every poll and every wait now, and from now on at once: the service is about to stop."""
        self._stopping = True
        self._wake_agents()
        for live in self.jobs:
            live.wake_watchers()

    async def stop(self) -> None:
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    # What users ask, by way of the gateway.

    async def create_job(self, owner: str, spec: JobSpec) -> str:
        """Record a job and make its directories; its UUID."""
        live = await self._db.write(partial(intake.create_job, owner=owner, spec=spec, now=self._clock()))
        self.jobs.add(live)
        log.info("job created", extra={"job": live.uuid, "owner": owner, "phases": len(spec.phases)})
        self._wake_agents()
        return live.uuid

    async def add_inputs(self, live: LiveJob, lines: Sequence[str]) -> None:
        """Record inputs; they are durable when this returns. Raises WireError if the job takes none."""
        total = await self._db.write(partial(intake.add_inputs, live=live, lines=lines, now=self._clock()))
        live.inputs = max(live.inputs, total)
        self._work_on(live)

    async def end_input(self, live: LiveJob) -> None:
        """No input will follow. Harmless if that is so already. Raises WireError if the job is over."""
        self._apply(await self._db.write(partial(intake.end_input, live=live, now=self._clock())))

    async def cancel(self, live: LiveJob) -> None:
        """Cancel a job. Raises WireError if it is over."""
        self._apply(await self._db.write(partial(intake.checked(cancel_job), live=live, now=self._clock())))
        log.info("job cancelled", extra={"job": live.uuid})

    async def wait_for_change(self, uuid: str, seconds: float) -> None:
        """Return when something about a job changes, or after `seconds`."""
        if (live := self.jobs.by_uuid(uuid)) and not live.done and not self._stopping:
            await _wait(live.changed, seconds)

    # What agents ask.

    async def register(self, request: RegisterRequest) -> int:
        """A fresh start of a node's agent; what an earlier start held is ready again."""
        for session in [known for known in self._sessions.values() if known.node == request.node]:
            await self._lose(session)
        now = self._clock()
        agent = await self._db.write(lambda c: c.insert("insert_agent", node=request.node, now=now))
        self._sessions[agent] = AgentSession.of(agent, request, time.monotonic())
        self.agent_arrived.set()
        log.info("agent registered", extra={"agent": agent, "node": request.node, "slots": request.slots})
        return agent

    async def poll(self, request: PollRequest) -> PollReply:
        """Wait until there is something for the agent, or `POLL_SECONDS`."""
        session = self._session(request.agent)
        session.hear(request.state, time.monotonic())
        deadline = time.monotonic() + POLL_SECONDS
        while not self._stopping:
            session.wake.clear()
            async with session.planning:
                reply = await self._plan(session)
            if reply is not None:
                return reply
            left = deadline - time.monotonic()
            if left <= 0 or not await _wait(session.wake, left):
                break
        return PollReply(number=session.number)

    async def report(self, request: ReportRequest) -> None:
        """Commit a batch of attempts; durable when this returns."""
        session = self._session(request.agent)
        changes = await self._db.write(
            partial(commit_reports, find_job=self.jobs.by_pool, reports=request.attempts, now=self._clock())
        )
        session.held.subtract(changes.left)
        self._apply(changes)
        session.hear(request.state, time.monotonic())

    async def _plan(self, session: AgentSession) -> PollReply | None:
        """The next reply for an agent, or None if there is nothing to say."""
        now = time.monotonic()
        wanted = lease.targets(session, self.jobs, now)
        found = lease.wants(session, self.jobs, wanted)
        feeds = session.feeds()
        revoked, session.revoked = session.revoked, []
        release = [pool for pool in session.told if (live := self.jobs.by_pool(pool)) is None or live.done]
        grants = await self._db.write(partial(self._grant, session, found)) if found else []
        pages = await self._db.read(partial(self._feed_pages, feeds)) if feeds else []
        if not (grants or pages or revoked or release):
            return None
        for want, given in zip(found, grants, strict=True):
            self.jobs.ready[want.pool] -= len(given.tasks)
            session.held[want.pool] += len(given.tasks)
            if session.told.get(want.pool) != want.instances:
                session.since[want.pool] = now
            session.told[want.pool] = want.instances
        for pool in release:
            session.forget(pool)
        session.ended.update((page.task, page.attempt) for page in pages if page.end)
        reply = PollReply(number=session.number + 1, pools=grants, feeds=pages, cancel=revoked, release=release)
        session.sent(reply)
        return reply

    def _grant(self, session: AgentSession, found: list[lease.Want], c: Connection) -> list[PoolGrant]:
        return lease.grant(c, session, found, self._issue_token)

    def _feed_pages(self, feeds: list[FeedState], c: Connection) -> list[FeedPage]:
        ended = {pool for live in self.jobs for pool in live.input_ended}
        pages = [lease.feed_page(c, feed, self._pool_of_feed(c, feed) in ended) for feed in feeds]
        return [page for page in pages if page]

    @staticmethod
    def _pool_of_feed(c: Connection, feed: FeedState) -> int | None:
        row = c.one("task_for_report", task=feed.task)
        return None if row is None else row["pool"]

    def _session(self, agent: int) -> AgentSession:
        session = self._sessions.get(agent)
        if session is None:
            raise UnknownAgentError(f"agent {agent} is not registered")
        return session

    async def _lose(self, session: AgentSession) -> None:
        """Give up an agent: what it held is tried again."""
        del self._sessions[session.id]
        session.wake.set()
        log.warning("agent lost", extra={"agent": session.id, "node": session.node})

        def work(c: Connection) -> tuple[Changes, bool]:
            rows = c.all("leased_by_agent", agent=session.id, limit=500)
            return lose_attempts(c, self.jobs.by_pool, rows, self._clock()), bool(rows)

        more = True
        while more:
            changes, more = await self._db.write(work)
            self._apply(changes)

    # After each transaction.

    def _apply(self, changes: Changes) -> None:
        """Bring the shadow up to what was committed, and wake whom it concerns."""
        self.jobs.ready.update(changes.ready)
        for outcome, count in changes.outcomes.items():
            self.outcomes(outcome, count)
        for pool in changes.ended_pools:
            if live := self.jobs.by_pool(pool):
                live.input_ended.add(pool)
        for revoked in changes.revoked:
            if session := self._sessions.get(revoked.agent):
                session.revoked.append(AttemptId(task=revoked.task, attempt=revoked.attempt))
                session.held[revoked.pool] -= 1
        for job in changes.changed_jobs:
            if live := self.jobs.by_id(job):
                live.done = live.done or job in changes.done_jobs
                live.wake_watchers()
                self._work_on(live)
        if changes.discard:
            self._in_thread(self._blobs.discard, changes.discard)
        for task in changes.finished_reducers:
            self._spawn(retention.reap_reducer(self._db, self._blobs, task))
        self._wake_agents()

    def _wake_agents(self) -> None:
        for session in self._sessions.values():
            session.wake.set()

    def _work_on(self, live: LiveJob) -> None:
        """Start what a job needs now: dispatching its inputs, or archiving it. One thing at a time."""
        if live.working is not None and not live.working.done():
            return
        if live.done:
            live.working = self._spawn(self._archive(live))
        elif live.pending and self.jobs.ready[live.pools[0]] < AHEAD:
            live.working = self._spawn(self._dispatch(live))

    async def _dispatch(self, live: LiveJob) -> None:
        while live.pending and self.jobs.ready[live.pools[0]] < AHEAD:
            changes, count = await self._db.write(partial(dispatch_page, live=live, now=self._clock()))
            live.dispatched += count
            if not count:
                break
            self._apply(changes)
        live.working = None
        self._work_on(live)

    async def _archive(self, live: LiveJob) -> None:
        await retention.reap_job(self._db, self._blobs, live)
        await archive.archive_job(self._db, self._blobs, self._clock, live)
        self.jobs.remove(live)
        live.wake_watchers()
        self._wake_agents()
        log.info("job archived", extra={"job": live.uuid})

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            for session in list(self._sessions.values()):
                if time.monotonic() - session.heard > LEASE_SECONDS:
                    await self._lose(session)
            now = self._clock()
            ended = await self._db.write(partial(intake.end_idle_inputs, find_job=self.jobs.by_id, now=now))
            self._apply(ended)
            await retention.purge_expired(self._db, now)

    # Tasks of the event loop that nobody awaits, kept so that they live and are ended.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background work failed", exc_info=error)

    def _in_thread(self, work: Callable[[list[str]], None], blobs: list[str]) -> None:
        asyncio.get_running_loop().run_in_executor(None, work, blobs)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    # Not wait_for: up to Python 3.11 that can swallow a cancellation that comes with the event.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _take_up(c: Connection) -> list[tuple[LiveJob, dict[int, int]]]:
    """Whatever was leased when the service stopped is ready again; the shadows of all live jobs."""
    c.run("release_all_leases")
    found = []
    for row in c.all("live_jobs"):
        live = load_job(c, row)
        ready = {pool: (c.one("count_ready", pool=pool) or {"n": 0})["n"] for pool in live.pools}
        found.append((live, ready))
    return found
