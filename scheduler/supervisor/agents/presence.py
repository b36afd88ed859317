"""Presence: which agents are registered, and what becomes of the tasks and intermediates of one that is gone.

An agent that registers anew, or is silent for too long, is given up: first it gets no more leases, then the tasks that
it held become ready again.

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
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from scheduler.engine.feasibility import Tiers
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import BEAT_SECONDS, LEASE_SECONDS, RegisterRequest
from scheduler.records.database import Connection, Database, execute, select
from scheduler.records.node_trust import revoked_nodes
from scheduler.supervisor.agents import enrolment
from scheduler.supervisor.agents.adoption import Adoption
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.intake import advance_all
from scheduler.supervisor.operations import attempts
from scheduler.supervisor.tasks import recovery
from scheduler.supervisor.tasks.commit import lose_attempts

log = logging.getLogger("remora.supervisor")

# Attempts of a lost agent that become ready in one transaction; intermediates of a lost node that are marked in one.
LOSE_PAGE = 500
# Seconds between two checks for silent agents after which this process was away in between; checks are 1 s apart.
ABSENCE = 3.0
# Milliseconds for which a node without an agent still counts as able to run tasks.
REMEMBER_MS = 86_400_000


class UnknownAgentError(Exception):
    """The agent never registered at this supervisor, or was given up: it must register again."""


class Presence:
    """The registered agents, and the nodes that are absent. `apply` applies changes to the cache.

    `sessions` are those of the agents, by their numbers. `offers` are of every node that was registered: a lost one may
    come back.
    """

    def __init__(
        self,
        db: Database,
        jobs: LiveJobs,
        clock: Callable[[], int],
        apply: Callable[[Changes], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.sessions: dict[int, AgentSession] = {}
        self.adoption = Adoption(db, jobs, self.sessions, clock, apply, monotonic)
        self.offers: dict[str, Tiers] = {}
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._apply = apply
        self._monotonic = monotonic
        self._bounds: dict[str, int] = {}  # MiB of the largest instance that Nomad ever places, by node
        self._absent: dict[str, float] = {}  # nodes with intermediates and no agent here, and since when
        self.lost: frozenset[str] = frozenset()  # nodes that were given up, and have no agent since
        self._leaving = asyncio.Lock()  # held while a node is given up, so that its agent cannot register meanwhile
        self._stores: dict[str, str] = {}  # of every node that served others: the store it had
        self._looked: float | None = None  # monotonic seconds of the last check for silent agents
        self._returned = float("-inf")  # monotonic seconds at which this process last found that it had been away

    async def open(self) -> None:
        """Load the nodes that were registered lately."""
        rows = await self._db.read(select("nodes_seen", after=self._clock() - REMEMBER_MS))
        self.offers |= {row["name"]: Tiers(row["memory_mb"], row["disk_gb"]) for row in rows}
        self._stores |= {row["name"]: row["store"] for row in rows if row["store"]}

    async def take_up(self, live: LiveJob) -> None:
        """Decide about the attempts of a job that was just claimed; start the leases of absent nodes with its bytes."""
        await self.adoption.decide(live)
        nodes = await self._db.read(partial(recovery.nodes_of, live=live))
        here = self.nodes()
        for node in nodes:
            if node not in here:
                self._absent.setdefault(node, self._monotonic())

    def session(self, agent: int) -> AgentSession:
        """The session of an agent. Raises UnknownAgentError."""
        session = self.sessions.get(agent)
        if session is None:
            raise UnknownAgentError(f"agent {agent} is not registered")
        return session

    def nodes(self) -> dict[str, AgentSession]:
        """The sessions, by the agents' nodes."""
        return {session.node: session for session in self.sessions.values()}

    async def arrive(self, request: RegisterRequest) -> AgentSession:
        """Begin the session of a node's agent; tasks of an earlier one become ready, but for those that go on.

        Raises WireError for a second agent of the same name (`enrolment`).
        """
        self._notice_absence()
        async with self._leaving:
            agent = await self._db.write(partial(enrolment.enrol, request=request))
            for session in [known for known in self.sessions.values() if known.node == request.node]:
                await self._lose(session)
            store = enrolment.store_of(request)
            if self._stores.get(request.node, store) != store:
                log.warning("node has another store", extra={"node": request.node})
                await self._lose_node(request.node)
            self.sessions[agent] = session = AgentSession.of(agent, request, self._monotonic())
            self.offers[request.node] = session.offer
            self._bound(session)
            self._absent.pop(request.node, None)
            self.lost -= {request.node}
            self._stores[request.node] = store
        await self.adoption.arrive(session)
        return session

    def heard(self) -> list[str]:
        """The nodes whose agents are heard."""
        now = self._monotonic()
        return [session.node for session in self.sessions.values() if now - session.heard < 2 * BEAT_SECONDS]

    async def leave(self, agent: int) -> None:
        """End a session in order: its tasks become ready, its node may come back. Raises UnknownAgentError."""
        session = self.session(agent)
        async with self._leaving:
            log.info("agent leaves", extra={"agent": session.id, "node": session.node})
            await self._lose(session, in_order=True)
            await self._db.write(execute("node_departs", node=session.node))
            self._absent.setdefault(session.node, self._monotonic())

    def bound_memory(self, bounds: Mapping[str, int]) -> bool:
        """Let nodes offer no larger instances than these, in MiB; returns whether that is news."""
        if bounds == self._bounds:
            return False
        self._bounds = dict(bounds)
        for session in self.sessions.values():
            self._bound(session)
        return True

    def feasible(self) -> list[Tiers]:
        """The largest tiers that nodes offer, within Nomad's bounds."""
        return [self._bounded(node) for node in self.offers]

    def _bound(self, session: AgentSession) -> None:
        session.offer = self._bounded(session.node)

    def _bounded(self, node: str) -> Tiers:
        offer = self.offers[node]
        return replace(offer, memory_mb=min(offer.memory_mb, self._bounds.get(node, offer.memory_mb)))

    async def lose_silent(self) -> None:
        """Give up agents that were silent for too long, and their nodes."""
        self._notice_absence()
        now = self._monotonic()
        for session in list(self.sessions.values()):
            if now - session.heard > LEASE_SECONDS:
                async with self._leaving:
                    log.warning("agent lost", extra={"agent": session.id, "node": session.node})
                    await self._lose(session, not_taken=AbortReason.SCHEDULING_TIMEOUT)
                    await self._lose_node(session.node)
        for node, since in list(self._absent.items()):
            if now - since > LEASE_SECONDS:
                async with self._leaving:
                    await self._lose_node(node)
        await self.adoption.expire()
        self._looked = self._monotonic()  # a check that took long waited for the database

    def _notice_absence(self) -> None:
        """Prolong all leases if the last check was too long ago: then this process was away, not the agents."""
        now = self._monotonic()
        away = now - (now if self._looked is None else self._looked) - ABSENCE
        self._looked = now
        if away <= 0:
            return
        log.warning("this process was away: leases are prolonged", extra={"seconds": round(away + ABSENCE, 1)})
        for session in self.sessions.values():
            session.heard = min(now, session.heard + away + ABSENCE)
        self._absent = {node: min(now, since + away + ABSENCE) for node, since in self._absent.items()}
        self._returned = now

    async def expel_revoked(self) -> None:
        """Give up the agents of nodes whose credentials are revoked, and the intermediates there."""
        for node in await self._db.read(revoked_nodes) & self.nodes().keys():
            async with self._leaving:
                if session := self.nodes().get(node):
                    log.warning("the credential of a node is revoked", extra={"node": node})
                    await self._lose(session, counted=False)
                    await self._lose_node(node)

    async def _lose_node(self, node: str) -> None:
        """Mark the intermediates of a node as lost, unless an agent is registered there by now."""
        self._absent.pop(node, None)
        if node in self.nodes():
            return
        self.lost |= {node}
        given = {task: fed.given for session in self.sessions.values() for task, fed in session.reducers.items()}
        for live in self._jobs:
            more = not live.done
            while more:
                lose = partial(recovery.lose_page, live=live, node=node, given=given, limit=LOSE_PAGE)
                changes, more = await self._db.write(lose)
                self._apply(changes)

    async def _lose(
        self,
        session: AgentSession,
        counted: bool = True,
        not_taken: AbortReason = AbortReason.SCHEDULING_OTHER,
        in_order: bool = False,
    ) -> None:
        """Give up an agent: its tasks become ready again. `counted`: whether its tasks may have caused the loss.

        `in_order`: it took leave, which no task has caused; `not_taken`: why those are aborted whose lease it has never
        confirmed.
        """
        if self.sessions.pop(session.id, None) is None:
            return
        session.wake.set()
        # else this process's absence may have caused it
        counted = counted and self._monotonic() - self._returned > LEASE_SECONDS

        def work(c: Connection) -> tuple[Changes, bool]:
            rows = c.all("leased_by_agent", agent=session.id, limit=LOSE_PAGE)
            blamed = counted and not in_order and session.serves is None  # with many nodes, a task is not to blame
            untaken = session.untaken()
            reasons = {row["id"]: not_taken for row in rows if (row["id"], row["attempt"]) in untaken}
            lost = lose_attempts(c, self._jobs.by_pool, rows, self._clock(), session.node, blamed, reasons, in_order)
            return lost, bool(rows)

        async with session.planning:  # tasks that are being leased to it now are lost too
            more = True
            while more:
                changes, more = await self._db.write(work)
                self._apply(changes)
            await self.confirm_gone([session.node])

    async def confirm_gone(self, nodes: Collection[str]) -> None:
        """Record that nothing is left of attempts of this supervisor's operations that were stopped on some nodes."""

        def work(c: Connection) -> Changes:
            gone = attempts.gone_at(c, nodes, self._jobs.by_id, self._clock())
            return advance_all(c, gone, self._clock())

        self._apply(await self._db.write(work))
