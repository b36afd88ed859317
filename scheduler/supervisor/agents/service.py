"""Agent service: where agents register, ask for work, and report.

An agent has at most one poll outstanding. So a reply is either received, which its next poll shows (`seen`), or was
lost on the way. A lost reply is simply given again: what it grants is leased already.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from scheduler.common.waiting import wait_for
from scheduler.engine.feasibility import Tiers, why_infeasible
from scheduler.model import limits
from scheduler.model.phase import PhaseSpec
from scheduler.model.wire import (
    MAX_OUTPUTS,
    MAX_STATES,
    POLL_SECONDS,
    AgentState,
    AttemptId,
    AttemptReport,
    BlobRef,
    FeedState,
    PollReply,
    PollRequest,
    RegisterRequest,
    ReportReply,
    ReportRequest,
    RunningAnswer,
)
from scheduler.objects.blobs import BlobStore
from scheduler.records import accounts
from scheduler.records.database import Database, execute
from scheduler.records.turns import MANY
from scheduler.supervisor.agents import leases
from scheduler.supervisor.agents.enrolment import DRAINING, WORKS
from scheduler.supervisor.agents.pool_specs import IssueToken
from scheduler.supervisor.agents.presence import Presence
from scheduler.supervisor.agents.running_requests import RunningRequests
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.agents.targets import targets
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs.changes import Changes, Placed, Revoked
from scheduler.supervisor.operations import attempts
from scheduler.supervisor.ports import DEFAULT, Ports
from scheduler.supervisor.tasks import blob_ownership
from scheduler.supervisor.tasks.commit import commit_reports

log = logging.getLogger("remora.supervisor")

# Intermediates that an agent is told to remove in one reply, and how many are worth a reply of their own.
DISCARD_PAGE = 5000
DISCARD_BATCH = 500
# Reports that are committed in one transaction.
REPORT_PAGE = 512


class AgentService:
    """Registrations, polls and reports of one supervisor's agents. `apply` applies changes to the cache."""

    def __init__(
        self,
        db: Database,
        jobs: LiveJobs,
        clock: Callable[[], int],
        issue_token: IssueToken,
        apply: Callable[[Changes], None],
        blobs: BlobStore,
        ports: Ports = DEFAULT,
    ) -> None:
        self.arrived = asyncio.Event()  # an agent has registered
        self.changed = asyncio.Event()  # set whenever agents are woken; cleared by the loop that plans instances
        self.monotonic = ports.monotonic
        self.why_no_agent = ports.why_no_agent
        self.most_instances: int | None = None  # of all accounts, on all nodes
        self._count_placed = ports.count_placed
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._issue_token = issue_token
        self._apply = apply
        self._blobs = blobs
        self._presence = presence = Presence(db, jobs, clock, apply, ports.monotonic)
        self.open, self.take_up, self.leave = presence.open, presence.take_up, presence.leave
        self.expel_revoked, self.heard = presence.expel_revoked, presence.heard
        self.expect = presence.adoption.expect
        self.running = RunningRequests(presence.sessions.get)
        self._stopping = False

    async def read_limits(self) -> None:
        """Read the limit of instances again, which an operator may have changed."""
        most = limits.totals(await self._db.read(accounts.default_limits)).instances
        if most != self.most_instances:
            self.most_instances = most
            self.wake()

    def providers(self) -> list[str]:
        """The kinds of providers of the registered agents."""
        return sorted({session.provider for session in self._presence.sessions.values()})

    def sessions(self) -> list[AgentSession]:
        """The sessions of the registered agents."""
        return list(self._presence.sessions.values())

    def disabled(self) -> int:
        """Number of slots with an instance that could not be ended, of all registered agents."""
        return sum(session.disabled for session in self._presence.sessions.values())

    # Requests of agents.

    async def register(self, request: RegisterRequest) -> int:
        """Register a node's agent; tasks of an earlier registration become ready, but for those that go on. Returns its
        number.
        """
        session = await self._presence.arrive(request)
        self._apply(Changes(changed_jobs={live.id for live in self._jobs}))  # phases that fitted no node may fit now
        self.arrived.set()
        log.info("agent registered", extra={"agent": session.id, "node": request.node, "slots": request.slots})
        return session.id

    async def poll(self, request: PollRequest) -> PollReply:
        """Wait until there is something for the agent, or `POLL_SECONDS`. Raises UnknownAgentError."""
        session = self._presence.session(request.agent)
        await self._hear(session, request.state)
        session.polls += 1
        newest = session.polls
        deadline = time.monotonic() + POLL_SECONDS
        while not self._stopping and session.polls == newest:  # else the agent has dropped this poll and polled again
            session.wake.clear()
            async with session.planning:
                self._presence.session(session.id)  # it may have been given up meanwhile
                if session.polls != newest:
                    break
                if session.unseen is not None and request.state.seen < session.number:
                    return session.unseen  # this reply was lost on the way
                reply = await self._plan(session)
            if reply is not None:
                return reply
            left = deadline - time.monotonic()
            if left <= 0 or not await wait_for(session.wake, left):
                return PollReply(number=request.state.seen, discard=session.take_discards(DISCARD_PAGE))
        return PollReply(number=request.state.seen)

    async def report(self, request: ReportRequest) -> ReportReply:
        """Commit a batch of reports; it is durable when this returns. Raises UnknownAgentError."""
        session = self._presence.session(request.agent)
        while session.is_pending(request.attempts):
            session.settled.clear()
            await wait_for(session.settled, POLL_SECONDS)
            self._presence.session(session.id)  # it may have been given up meanwhile
        if request.began:
            begun = partial(attempts.begun, node=session.node, begun=request.began, now=self._clock())
            await self._db.write(begun)
        refused: list[AttemptId] = []
        for page in pages_of(request.attempts):
            changes = await self._commit(session, page, request.clock_us)
            session.held.subtract(changes.left)
            refused += changes.refused
            self._apply(changes)
        session.reported(request.attempts)
        await self._hear(session, request.state)
        return ReportReply(discard=refused)

    async def _hear(self, session: AgentSession, state: AgentState) -> None:
        """Adopt a state from an agent. The records are told whether its node is being drained, for operators."""
        before = session.draining
        session.hear(state, self.monotonic())
        if session.draining != before:
            told = {"agent": session.id, "node": session.node}
            log.info("a node is being drained" if session.draining else "a node is in use again", extra=told)
            standing = DRAINING if session.draining else WORKS
            await self._db.write(execute("node_drains", node=session.node, departed=standing))

    async def _commit(self, session: AgentSession, reports: Sequence[AttemptReport], clock_us: int) -> Changes:
        reporter = blob_ownership.Reporter(session.id, session.node, session.serves is not None)
        claimed = blob_ownership.shared((b for r in reports for b in blob_ownership.blobs_of(r)), reporter.keeps)
        absent = await self.absent(claimed)
        work = partial(
            commit_reports,
            find_job=self._jobs.by_pool,
            reporter=reporter,
            reports=reports,
            now=self._clock(),
            absent=absent,
            clock_us=clock_us,
        )
        owners = {live.owner for pool in +session.held if (live := self._jobs.by_pool(pool))}
        return await self._db.of(*owners).write(work, bulk=len(reports) > MANY)

    async def absent(self, claimed: Sequence[BlobRef]) -> set[str]:
        """The blobs that are claimed to be in the shared store and are not."""
        return await asyncio.to_thread(blob_ownership.absent, self._blobs, claimed) if claimed else set()

    def why_infeasible(self, phase: PhaseSpec) -> str | None:
        """The reason why no known node can ever run a phase, as the message of a TaskInitError, or None."""
        return why_infeasible(Tiers.of(phase), self._presence.feasible())

    def bound_memory(self, bounds: Mapping[str, int]) -> None:
        """Let nodes offer no larger instances than these, in MiB: what Nomad never places, no node has."""
        if self._presence.bound_memory(bounds):
            self._apply(Changes(changed_jobs={live.id for live in self._jobs}))  # phases may fit no node now

    def beat(self, agent: int) -> None:
        """Record that an agent lives. Raises UnknownAgentError."""
        self._presence.session(agent).heard = self.monotonic()

    def take_answer(self, agent: int, answer: RunningAnswer) -> None:
        """Accept what an agent answers to a request about a running task."""
        self.running.answer(agent, answer)

    def node_of(self, agent: int) -> str:
        """The node of an agent. Raises UnknownAgentError."""
        return self._presence.session(agent).node

    def runs_on(self, node: str, job: str) -> bool:
        """Whether a registered agent of this node has instances or attempts of a job that is not done."""
        live = self._jobs.by_uuid(job)
        if live is None or live.done:
            return False
        here = [session for session in self._presence.sessions.values() if session.node == node]
        return any(session.works_on(pool) for session in here for pool in live.pools)

    def may_run_on(self, node: str) -> bool:
        """Whether the node's agent has attempts of jobs that are not taken up yet."""
        return any(session.pending for session in self._presence.sessions.values() if session.node == node)

    # Events that concern agents.

    def wake(self) -> None:
        """Wake every waiting poll: something has changed."""
        self.changed.set()
        for session in self._presence.sessions.values():
            session.wake.set()

    def let_go(self) -> None:
        """Answer every poll now, and later ones at once: the service is about to stop."""
        self._stopping = True
        self.wake()

    def revoke(self, revoked_attempts: Iterable[Revoked]) -> None:
        """Have the agents kill these attempts, which no longer count."""
        for revoked in revoked_attempts:
            if session := self._presence.sessions.get(revoked.agent):
                session.revoked.append(AttemptId(task=revoked.task, attempt=revoked.attempt))
                session.held[revoked.pool] -= 1
                session.ended(revoked.task, revoked.attempt)

    async def stop_again(self, live: LiveJob) -> None:
        """Have the agents kill attempts of an operation that another process has stopped; those of absent nodes are
        gone.
        """
        stopped = await self._db.read(lambda c: attempts.aborting(c, live.pools))
        here = self._presence.nodes()
        for row in stopped:
            if session := here.get(row["node"]):
                session.revoked.append(AttemptId(task=row["task"], attempt=row["attempt"]))
                session.ended(row["task"], row["attempt"])
        if absent := {row["node"] for row in stopped} - here.keys():
            await self._presence.confirm_gone(absent)
        self.wake()

    def discard(self, blobs: Iterable[Placed]) -> None:
        """Have the agents remove these intermediates. An agent that is absent finds out when it starts again."""
        here = self._presence.nodes()
        for node, placed in groupby(blobs, key=lambda each: each.node):
            if session := here.get(node):
                session.discard(each.blob for each in placed)

    async def lose_silent(self) -> None:
        """Give up agents that were silent for too long, and their nodes."""
        lost = self._presence.lost
        await self._presence.lose_silent()
        if self._jobs.located or self._presence.lost != lost:
            self.wake()  # a task may have waited for its node long enough

    # Replies to agents.

    async def _plan(self, session: AgentSession) -> PollReply | None:
        """The next reply for an agent, or None if there is nothing to send."""
        now, nodes = self.monotonic(), self._presence.nodes()
        wanted = targets(session, self._jobs, nodes, now, self.most_instances)
        found = leases.wants(session, self._jobs, nodes, wanted, now)
        feeds = [self._hungry(feed, session.reducers[feed.task].pool) for feed in session.feeds()]
        release = [pool for pool in session.told if (live := self._jobs.by_pool(pool)) is None or live.done]
        grant = partial(
            leases.grant, session=session, nodes=nodes, found=found, issue_token=self._issue_token, now=self._clock()
        )
        owners = {want.live.owner for want in found}
        # A lease is no promise to a user. If the machine fails, the task is ready again, and its agent unknown.
        granted, replaced = await self._db.of(*owners).write(grant, lasting=False) if found else ([], dict)
        told = [given for given in granted if given.grant.tasks or session.is_new(given.grant)]
        for given in granted:
            self._count(session, given, now)
        grants = leases.up_to_date(told, replaced())
        feed = partial(leases.feed_pages, feeds=feeds, node=session.node, nodes=nodes)
        pages = await self._db.read(feed) if feeds else []
        lost = self._presence.lost if self._presence.lost != session.told_lost else None
        urgent = grants or pages or session.revoked or release or session.running_requests or lost is not None
        if not urgent and len(session.discards) < DISCARD_BATCH:
            return None
        for pool in release:
            session.forget(pool)
        revoked, session.revoked = session.revoked, []
        logs, shells = session.take_running_requests()
        reply = PollReply(
            number=session.number + 1,
            pools=grants,
            feeds=pages,
            cancel=revoked,
            release=release,
            discard=session.take_discards(DISCARD_PAGE),
            logs=logs,
            shells=shells,
            lost=None if lost is None else sorted(lost)[:MAX_STATES],
        )
        if lost is not None:
            session.told_lost = lost
        session.sent(reply)
        return reply

    def _count(self, session: AgentSession, given: leases.Granted, now: float) -> None:
        """Apply what was leased to the cache."""
        pool = given.grant.pool
        self._jobs.ready[pool] -= len(given.grant.tasks)
        if given.taken:
            self._jobs.located.took(pool, given.taken, session.node, now)
        session.grant(given.grant, now)
        for where, count in (("local", given.local), ("remote", given.remote)):
            if count:
                self._count_placed(where, count)

    def _hungry(self, feed: FeedState, pool: int) -> leases.Hungry:
        """A task of a pool that wants more input."""
        live = self._jobs.by_pool(pool)
        if live is None:
            return leases.Hungry(feed, ended=False, pinned=False)
        statements = leases.feed_statements(live.spec.phases[live.phase_of(pool)])
        pinned = live.spec.operation is not None
        return leases.Hungry(feed, pool in live.input_ended, pinned, statements)


def pages_of(reports: Sequence[AttemptReport]) -> Iterator[Sequence[AttemptReport]]:
    """The reports of a batch, in pages that keep each transaction short."""
    page: list[AttemptReport] = []
    outputs = 0
    for report in reports:
        outputs += len(report.outputs)
        if page and (outputs > MAX_OUTPUTS or len(page) >= REPORT_PAGE):
            yield page
            page, outputs = [], len(report.outputs)
        page.append(report)
    if page:
        yield page
