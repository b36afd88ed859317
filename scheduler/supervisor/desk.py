"""The desk at which agents ask for work and hand in what they did.

An agent has at most one poll outstanding, so a reply is either acted on, which its next poll
shows (`seen`), or was lost on the way. A lost one is simply given again: what it grants is
leased already. An agent that registers anew, or is silent for too long, is given up: first
nobody plans for it any more, then what it held goes back into the queue.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from scheduler.engine.fit import Tiers, misfit
from scheduler.model.job import PhaseSpec
from scheduler.model.wire import (
    POLL_SECONDS,
    AttemptId,
    PollReply,
    PollRequest,
    RegisterRequest,
    ReportRequest,
)
from scheduler.records.database import Connection, Database
from scheduler.supervisor import lease
from scheduler.supervisor.agents import LEASE_SECONDS, AgentSession
from scheduler.supervisor.changes import Changes, Revoked
from scheduler.supervisor.commit import commit_reports, lose_attempts
from scheduler.supervisor.live import LiveJobs
from scheduler.supervisor.waiting import wait_for

log = logging.getLogger("remora.supervisor")

# Attempts of a lost agent that go back in one transaction.
LOSE_PAGE = 500


class UnknownAgentError(Exception):
    """The agent never registered here, or was given up: it must register again."""


class AgentDesk:
    """One per supervisor. `apply` brings the shadow up to what a transaction changed."""

    def __init__(
        self,
        db: Database,
        jobs: LiveJobs,
        clock: Callable[[], int],
        issue_token: lease.IssueToken,
        apply: Callable[[Changes], None],
    ) -> None:
        self.arrived = asyncio.Event()  # some agent has registered
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._issue_token = issue_token
        self._apply = apply
        self._sessions: dict[int, AgentSession] = {}
        self._offers: dict[str, Tiers] = {}  # of every node that was here: one that is gone may come back
        self._stopping = False

    def providers(self) -> list[str]:
        """Where the instances of the agents that are here come from."""
        return sorted({session.provider for session in self._sessions.values()})

    def disabled(self) -> int:
        """Slots whose instances could not be ended, of the agents that are here."""
        return sum(session.disabled for session in self._sessions.values())

    # What agents ask.

    async def register(self, request: RegisterRequest) -> int:
        """A fresh start of a node's agent; what an earlier start held is ready again."""
        for session in [known for known in self._sessions.values() if known.node == request.node]:
            await self._lose(session)
        now = self._clock()
        agent = await self._db.write(lambda c: c.insert("insert_agent", node=request.node, now=now))
        self._sessions[agent] = AgentSession.of(agent, request, time.monotonic())
        self._offers[request.node] = self._sessions[agent].offer
        self._apply(Changes(changed_jobs={live.id for live in self._jobs}))  # what fitted nowhere may fit now
        self.arrived.set()
        log.info("agent registered", extra={"agent": agent, "node": request.node, "slots": request.slots})
        return agent

    async def poll(self, request: PollRequest) -> PollReply:
        """Wait until there is something for the agent, or `POLL_SECONDS`. Raises UnknownAgentError."""
        session = self._session(request.agent)
        session.hear(request.state, time.monotonic())
        if session.unseen is not None and request.state.seen < session.number:
            return session.unseen
        session.polls += 1
        newest = session.polls
        deadline = time.monotonic() + POLL_SECONDS
        while not self._stopping:
            session.wake.clear()
            async with session.planning:
                self._session(session.id)  # it may have been given up meanwhile
                if session.polls != newest:
                    break  # whoever asked has hung up and asked again
                reply = await self._plan(session)
            if reply is not None:
                return reply
            left = deadline - time.monotonic()
            if left <= 0 or not await wait_for(session.wake, left):
                break
        return PollReply(number=request.state.seen)

    async def report(self, request: ReportRequest) -> None:
        """Commit a batch of attempts; durable when this returns. Raises UnknownAgentError."""
        session = self._session(request.agent)
        changes = await self._db.write(
            partial(
                commit_reports,
                find_job=self._jobs.by_pool,
                reports=request.attempts,
                now=self._clock(),
                node=session.node,
            )
        )
        session.held.subtract(changes.left)
        self._apply(changes)
        session.hear(request.state, time.monotonic())

    def misfit(self, phase: PhaseSpec) -> str | None:
        """Why no node can ever run a phase, as the message of a TaskInitError; None if one can, or none is known."""
        return misfit(Tiers.of(phase), self._offers.values())

    def beat(self, agent: int) -> None:
        """It lives. Raises UnknownAgentError."""
        self._session(agent).heard = time.monotonic()

    def node_of(self, agent: int) -> str:
        """On which node an agent is. Raises UnknownAgentError."""
        return self._session(agent).node

    def runs_on(self, node: str, job: str) -> bool:
        """Was an agent of this node, which is here, given instances for a job that still runs?"""
        live = self._jobs.by_uuid(job)
        if live is None or live.done:
            return False
        here = [session for session in self._sessions.values() if session.node == node]
        return any(pool in session.told for session in here for pool in live.pools)

    # What happens to them.

    def wake(self) -> None:
        """Something changed: whoever waits looks again."""
        for session in self._sessions.values():
            session.wake.set()

    def let_go(self) -> None:
        """Answer every poll now, and from now on at once."""
        self._stopping = True
        self.wake()

    def revoke(self, attempts: Iterable[Revoked]) -> None:
        """These attempts are not wanted any more: have them killed."""
        for revoked in attempts:
            if session := self._sessions.get(revoked.agent):
                session.revoked.append(AttemptId(task=revoked.task, attempt=revoked.attempt))
                session.held[revoked.pool] -= 1

    async def lose_silent(self) -> None:
        """Give up agents that were not heard of for too long."""
        for session in list(self._sessions.values()):
            if time.monotonic() - session.heard > LEASE_SECONDS:
                await self._lose(session)

    async def _lose(self, session: AgentSession) -> None:
        """Give up an agent: what it held is tried again."""
        if self._sessions.pop(session.id, None) is None:
            return
        session.wake.set()
        log.warning("agent lost", extra={"agent": session.id, "node": session.node})

        def work(c: Connection) -> tuple[Changes, bool]:
            rows = c.all("leased_by_agent", agent=session.id, limit=LOSE_PAGE)
            return lose_attempts(c, self._jobs.by_pool, rows, self._clock(), session.node), bool(rows)

        async with session.planning:  # what is being leased to it now is lost too
            more = True
            while more:
                changes, more = await self._db.write(work)
                self._apply(changes)

    def _session(self, agent: int) -> AgentSession:
        session = self._sessions.get(agent)
        if session is None:
            raise UnknownAgentError(f"agent {agent} is not registered")
        return session

    # What they are answered.

    async def _plan(self, session: AgentSession) -> PollReply | None:
        """The next reply for an agent, or None if there is nothing to say."""
        now = time.monotonic()
        found = lease.wants(session, self._jobs, lease.targets(session, self._jobs, now))
        feeds = [(feed, self._input_ended(session.reducers[feed.task].pool)) for feed in session.feeds()]
        release = [pool for pool in session.told if (live := self._jobs.by_pool(pool)) is None or live.done]
        grant = partial(lease.grant, session=session, found=found, issue_token=self._issue_token)
        grants = await self._db.write(grant) if found else []
        pages = await self._db.read(partial(lease.feed_pages, feeds=feeds)) if feeds else []
        if not (grants or pages or session.revoked or release):
            return None
        for want, given in zip(found, grants, strict=True):
            self._jobs.ready[want.pool] -= len(given.tasks)
            session.grant(given, now)
        for pool in release:
            session.forget(pool)
        revoked, session.revoked = session.revoked, []
        reply = PollReply(number=session.number + 1, pools=grants, feeds=pages, cancel=revoked, release=release)
        session.sent(reply)
        return reply

    def _input_ended(self, pool: int) -> bool:
        """Whether what is recorded of a pool's input is all of it."""
        live = self._jobs.by_pool(pool)
        return live is not None and pool in live.input_ended
