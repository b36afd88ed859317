"""Agent service: where agents register, ask for work, and report.

An agent has at most one poll outstanding. So a reply is either received, which its next poll shows (`seen`), or was
lost on the way. A lost reply is simply given again: what it grants is leased already. An agent that registers anew, or
is silent for too long, is given up: first it gets no more leases, then the tasks that it held become ready again.

A node whose agent was given up for its silence is lost, and with it the intermediates there: they are recomputed
(`recovery`). A node whose agent registers anew within the lease has lost nothing, unless it comes with another store:
the key of its tickets lies beside the blobs, and differs then. A node that only the records know, because this
supervisor is younger than they are, has a lease too.

Silence proves nothing while the supervisor itself was away: stopped by SIGSTOP, paused with its container, suspended
with its machine. It checks once a second; when a check comes late, every lease is prolonged by that delay. An agent
that has given up meanwhile, since its polls were not answered, and registers anew costs its tasks no retry.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

from scheduler.common.waiting import wait_for
from scheduler.engine.feasibility import Tiers, why_infeasible
from scheduler.model import limits
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.phase import PhaseSpec
from scheduler.model.wire import (
    LEASE_SECONDS,
    MAX_OUTPUTS,
    POLL_SECONDS,
    AttemptId,
    AttemptReport,
    BlobRef,
    FeedState,
    PollReply,
    PollRequest,
    RegisterRequest,
    ReportReply,
    ReportRequest,
    TaskLogPage,
)
from scheduler.objects.blobs import BlobStore
from scheduler.records import accounts
from scheduler.records.database import MANY, Connection, Database, select
from scheduler.records.node_trust import revoked_nodes
from scheduler.supervisor.agents import leases
from scheduler.supervisor.agents.pool_specs import IssueToken
from scheduler.supervisor.agents.running_logs import TaskLogs
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.agents.targets import targets
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs.changes import Changes, Placed, Revoked
from scheduler.supervisor.jobs.intake import advance_all
from scheduler.supervisor.operations import attempts
from scheduler.supervisor.ports import DEFAULT, Ports
from scheduler.supervisor.tasks import blob_ownership, recovery
from scheduler.supervisor.tasks.commit import commit_reports, lose_attempts

log = logging.getLogger("remora.supervisor")

# Attempts of a lost agent that become ready in one transaction; intermediates of a lost node that are marked in one.
LOSE_PAGE = 500
# Intermediates that an agent is told to remove in one reply, and how many are worth a reply of their own.
DISCARD_PAGE = 5000
DISCARD_BATCH = 500
# Reports that are committed in one transaction.
REPORT_PAGE = 512
# Seconds between two checks for silent agents after which this process was away in between; checks are 1 s apart.
ABSENCE = 3.0
# Milliseconds for which a node without an agent still counts as able to run tasks.
REMEMBER_MS = 86_400_000


class UnknownAgentError(Exception):
    """The agent never registered at this supervisor, or was given up: it must register again."""


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
        self._sessions: dict[int, AgentSession] = {}
        self.logs = TaskLogs(self._sessions.get)
        self._absent: dict[str, float] = {}  # nodes with intermediates and no agent here, and since when
        self._leaving = asyncio.Lock()  # held while a node is given up, so that its agent cannot register meanwhile
        self._offers: dict[str, Tiers] = {}  # of every node that was registered: a lost one may come back
        self._stores: dict[str, str] = {}  # of every node that served others: the store it had
        self._looked: float | None = None  # monotonic seconds of the last check for silent agents
        self._returned = float("-inf")  # monotonic seconds at which this process last found that it had been away
        self._stopping = False

    async def open(self) -> None:
        """Load the nodes that were registered lately, and the limit of instances."""
        await self.read_limits()
        rows = await self._db.read(select("nodes_seen", after=self._clock() - REMEMBER_MS))
        self._offers |= {row["name"]: Tiers(row["memory_mb"], row["disk_gb"]) for row in rows}
        self._stores |= {row["name"]: row["store"] for row in rows if row["store"]}

    async def read_limits(self) -> None:
        """Read the limit of instances again, which an operator may have changed."""
        most = limits.totals(await self._db.read(accounts.default_limits)).instances
        if most != self.most_instances:
            self.most_instances = most
            self.wake()

    async def take_up(self, live: LiveJob) -> None:
        """Start the leases of absent nodes with intermediates of a job that this supervisor has just claimed."""
        nodes = await self._db.read(partial(recovery.nodes_of, live=live))
        here = self._nodes()
        for node in nodes:
            if node not in here:
                self._absent.setdefault(node, self.monotonic())

    def providers(self) -> list[str]:
        """The kinds of providers of the registered agents."""
        return sorted({session.provider for session in self._sessions.values()})

    def sessions(self) -> list[AgentSession]:
        """The sessions of the registered agents."""
        return list(self._sessions.values())

    def disabled(self) -> int:
        """Number of slots with an instance that could not be ended, of all registered agents."""
        return sum(session.disabled for session in self._sessions.values())

    # Requests of agents.

    async def register(self, request: RegisterRequest) -> int:
        """Register a new start of a node's agent; tasks of an earlier start become ready. Returns its number."""
        self._notice_absence()
        async with self._leaving:
            for session in [known for known in self._sessions.values() if known.node == request.node]:
                await self._lose(session)
            store = store_of(request)
            if self._stores.get(request.node, store) != store:
                log.warning("node has another store", extra={"node": request.node})
                await self._lose_node(request.node)
            agent = await self._db.write(partial(_enrol, request=request, now=self._clock()))
            self._sessions[agent] = AgentSession.of(agent, request, self.monotonic())
            self._absent.pop(request.node, None)
            self._stores[request.node] = store
        self._offers[request.node] = self._sessions[agent].offer
        self._apply(Changes(changed_jobs={live.id for live in self._jobs}))  # phases that fitted no node may fit now
        self.arrived.set()
        log.info("agent registered", extra={"agent": agent, "node": request.node, "slots": request.slots})
        return agent

    async def poll(self, request: PollRequest) -> PollReply:
        """Wait until there is something for the agent, or `POLL_SECONDS`. Raises UnknownAgentError."""
        session = self._session(request.agent)
        session.hear(request.state, self.monotonic())
        session.polls += 1
        newest = session.polls
        deadline = time.monotonic() + POLL_SECONDS
        while not self._stopping:
            session.wake.clear()
            async with session.planning:
                self._session(session.id)  # it may have been given up meanwhile
                if session.polls != newest:
                    break  # the agent has dropped this poll and polled again
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
        session = self._session(request.agent)
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
        session.hear(request.state, self.monotonic())
        return ReportReply(discard=refused)

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
        return await self._db.write(work, bulk=len(reports) > MANY)

    async def absent(self, claimed: Sequence[BlobRef]) -> set[str]:
        """The blobs that are claimed to be in the shared store and are not."""
        return await asyncio.to_thread(blob_ownership.absent, self._blobs, claimed) if claimed else set()

    def why_infeasible(self, phase: PhaseSpec) -> str | None:
        """The reason why no known node can ever run a phase, as the message of a TaskInitError, or None."""
        return why_infeasible(Tiers.of(phase), self._offers.values())

    def beat(self, agent: int) -> None:
        """Record that an agent lives. Raises UnknownAgentError."""
        self._session(agent).heard = self.monotonic()

    async def leave(self, agent: int) -> None:
        """End a session in order: its tasks become ready, its node may come back. Raises UnknownAgentError."""
        session = self._session(agent)
        async with self._leaving:
            log.info("agent leaves", extra={"agent": session.id, "node": session.node})
            await self._lose(session, counted=False)
            self._absent.setdefault(session.node, self.monotonic())

    def take_log(self, agent: int, page: TaskLogPage) -> None:
        """Accept the page of a running task's log that an agent was asked for."""
        self.logs.answer(agent, page)

    def node_of(self, agent: int) -> str:
        """The node of an agent. Raises UnknownAgentError."""
        return self._session(agent).node

    def runs_on(self, node: str, job: str) -> bool:
        """Whether a registered agent of this node has instances or attempts of a job that is not done."""
        live = self._jobs.by_uuid(job)
        if live is None or live.done:
            return False
        here = [session for session in self._sessions.values() if session.node == node]
        return any(session.told.get(pool) or session.held[pool] > 0 for session in here for pool in live.pools)

    # Events that concern agents.

    def wake(self) -> None:
        """Wake every waiting poll: something has changed."""
        self.changed.set()
        for session in self._sessions.values():
            session.wake.set()

    def let_go(self) -> None:
        """Answer every poll now, and later ones at once: the service is about to stop."""
        self._stopping = True
        self.wake()

    def revoke(self, revoked_attempts: Iterable[Revoked]) -> None:
        """Have the agents kill these attempts, which no longer count."""
        for revoked in revoked_attempts:
            if session := self._sessions.get(revoked.agent):
                session.revoked.append(AttemptId(task=revoked.task, attempt=revoked.attempt))
                session.held[revoked.pool] -= 1
                session.ended(revoked.task, revoked.attempt)

    async def stop_again(self, live: LiveJob) -> None:
        """Have the agents kill attempts of an operation that another process has stopped; those of absent nodes are
        gone.
        """
        stopped = await self._db.read(lambda c: attempts.aborting(c, live.pools))
        here = self._nodes()
        for row in stopped:
            if session := here.get(row["node"]):
                session.revoked.append(AttemptId(task=row["task"], attempt=row["attempt"]))
                session.ended(row["task"], row["attempt"])
        if absent := {row["node"] for row in stopped} - here.keys():
            await self._confirm_gone(absent)
        self.wake()

    async def _confirm_gone(self, nodes: Collection[str]) -> None:
        """Record that nothing is left of attempts of this supervisor's operations that were stopped on some nodes."""

        def work(c: Connection) -> Changes:
            gone = attempts.gone_at(c, nodes, self._jobs.by_id, self._clock())
            return advance_all(c, gone, self._clock())

        self._apply(await self._db.write(work))

    def discard(self, blobs: Iterable[Placed]) -> None:
        """Have the agents remove these intermediates. An agent that is absent finds out when it starts again."""
        here = self._nodes()
        for node, placed in groupby(blobs, key=lambda each: each.node):
            if session := here.get(node):
                session.discard(each.blob for each in placed)

    async def lose_silent(self) -> None:
        """Give up agents that were silent for too long, and their nodes."""
        self._notice_absence()
        now = self.monotonic()
        for session in list(self._sessions.values()):
            if now - session.heard > LEASE_SECONDS:
                async with self._leaving:
                    log.warning("agent lost", extra={"agent": session.id, "node": session.node})
                    await self._lose(session, not_taken=AbortReason.SCHEDULING_TIMEOUT)
                    await self._lose_node(session.node)
        for node, since in list(self._absent.items()):
            if now - since > LEASE_SECONDS:
                async with self._leaving:
                    await self._lose_node(node)
        if self._jobs.located:
            self.wake()  # a task may have waited for its node long enough
        self._looked = self.monotonic()  # a check that took long waited for the database

    def _notice_absence(self) -> None:
        """Prolong all leases if the last check was too long ago: then this process was away, not the agents."""
        now = self.monotonic()
        away = now - (now if self._looked is None else self._looked) - ABSENCE
        self._looked = now
        if away <= 0:
            return
        log.warning("this process was away: leases are prolonged", extra={"seconds": round(away + ABSENCE, 1)})
        for session in self._sessions.values():
            session.heard = min(now, session.heard + away + ABSENCE)
        self._absent = {node: min(now, since + away + ABSENCE) for node, since in self._absent.items()}
        self._returned = now

    async def expel_revoked(self) -> None:
        """Give up the agents of nodes whose credentials are revoked, and the intermediates there."""
        for node in await self._db.read(revoked_nodes) & self._nodes().keys():
            async with self._leaving:
                if session := self._nodes().get(node):
                    log.warning("the credential of a node is revoked", extra={"node": node})
                    await self._lose(session, counted=False)
                    await self._lose_node(node)

    async def _lose_node(self, node: str) -> None:
        """Mark the intermediates of a node as lost, unless an agent is registered there by now."""
        self._absent.pop(node, None)
        if node in self._nodes():
            return
        given = {task: fed.given for session in self._sessions.values() for task, fed in session.reducers.items()}
        for live in self._jobs:
            more = not live.done
            while more:
                lose = partial(recovery.lose_page, live=live, node=node, given=given, limit=LOSE_PAGE)
                changes, more = await self._db.write(lose)
                self._apply(changes)

    def _nodes(self) -> dict[str, AgentSession]:
        return {session.node: session for session in self._sessions.values()}

    async def _lose(
        self, session: AgentSession, counted: bool = True, not_taken: AbortReason = AbortReason.SCHEDULING_OTHER
    ) -> None:
        """Give up an agent: its tasks become ready again. `counted`: whether its tasks may have caused the loss.

        `not_taken`: why those are aborted whose lease it has never confirmed.
        """
        if self._sessions.pop(session.id, None) is None:
            return
        session.wake.set()
        # else this process's absence may have caused it
        counted = counted and self.monotonic() - self._returned > LEASE_SECONDS

        def work(c: Connection) -> tuple[Changes, bool]:
            rows = c.all("leased_by_agent", agent=session.id, limit=LOSE_PAGE)
            blamed = counted and session.serves is None  # with many nodes, a task is not to blame
            untaken = session.untaken()
            reasons = {row["id"]: not_taken for row in rows if (row["id"], row["attempt"]) in untaken}
            lost = lose_attempts(c, self._jobs.by_pool, rows, self._clock(), session.node, blamed, reasons)
            return lost, bool(rows)

        async with session.planning:  # tasks that are being leased to it now are lost too
            more = True
            while more:
                changes, more = await self._db.write(work)
                self._apply(changes)
            await self._confirm_gone([session.node])

    def _session(self, agent: int) -> AgentSession:
        session = self._sessions.get(agent)
        if session is None:
            raise UnknownAgentError(f"agent {agent} is not registered")
        return session

    # Replies to agents.

    async def _plan(self, session: AgentSession) -> PollReply | None:
        """The next reply for an agent, or None if there is nothing to send."""
        now, nodes = self.monotonic(), self._nodes()
        wanted = targets(session, self._jobs, nodes, now, self.most_instances)
        found = leases.wants(session, self._jobs, nodes, wanted, now)
        feeds = [self._hungry(feed, session.reducers[feed.task].pool) for feed in session.feeds()]
        release = [pool for pool in session.told if (live := self._jobs.by_pool(pool)) is None or live.done]
        grant = partial(
            leases.grant, session=session, nodes=nodes, found=found, issue_token=self._issue_token, now=self._clock()
        )
        granted = await self._db.write(grant) if found else []
        grants = [given.grant for given in granted if given.grant.tasks or session.is_new(given.grant)]
        for given in granted:
            self._count(session, given, now)
        feed = partial(leases.feed_pages, feeds=feeds, node=session.node, nodes=nodes)
        pages = await self._db.read(feed) if feeds else []
        urgent = grants or pages or session.revoked or release or session.log_requests
        if not urgent and len(session.discards) < DISCARD_BATCH:
            return None
        for pool in release:
            session.forget(pool)
        revoked, session.revoked = session.revoked, []
        logs, session.log_requests = session.log_requests, []
        reply = PollReply(
            number=session.number + 1,
            pools=grants,
            feeds=pages,
            cancel=revoked,
            release=release,
            discard=session.take_discards(DISCARD_PAGE),
            logs=logs,
        )
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
        ended = live is not None and pool in live.input_ended
        operation = live is not None and live.spec.operation is not None
        partitioned = live is not None and live.spec.phases[live.phase_of(pool)].partitioned
        return leases.Hungry(feed, ended, pinned=operation, partitioned=partitioned)


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


def _enrol(c: Connection, request: RegisterRequest, now: int) -> int:
    """Record an agent, and the offer of its node; returns the agent's number."""
    offer = {"memory_mb": request.memory_mb, "disk_gb": request.disk_gb}
    c.run("see_node", name=request.node, **offer, now=now, store=store_of(request))
    return c.insert("insert_agent", node=request.node, now=now)


def store_of(request: RegisterRequest) -> str:
    """A name for the store that the node keeps intermediates in; "" if other nodes cannot read it."""
    key = request.tickets if request.serves else None
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""
