"""Adoption: what becomes of attempts that a supervisor's earlier start, or another supervisor, has leased.

A supervisor that takes up a job finds tasks that are leased to agents which it does not know. Their attempts may still
run: an agent outlives its supervisor by a while, and registers with the next start at the same address, saying which
attempts it has (`RegisterRequest.held`). Either may come first. So what is leased waits for the agent of its node, for
the length of a lease; and what an agent has is *pending* until its job is taken up, for as long. Where both meet, the
attempt is adopted: it goes on, and has cost its task nothing. A leased attempt whose agent is there and has it not is
lost, which counts as no retry; one that an agent has and that is not leased is cancelled.

A report of an attempt that is pending waits until that is decided. A job that another supervisor takes up is not one
whose agents register anew; so its attempts are lost at once.

Example: a supervisor is killed at second 0, when an agent runs tasks 7 and 8, and starts again at second 2. The agent
registers with both. Task 8 ends at second 4, and is reported. The old start counts as lost at second 6; the new one
takes up the job, adopts both, and records the report.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import LEASE_SECONDS
from scheduler.records.database import Connection, Database, Row
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs.cancel import MAX_IN_FLIGHT
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.tasks.commit import lose_attempts


@dataclass(slots=True)
class Awaited:
    """The nodes that have attempts of a job leased by another start, and since when their agents are awaited."""

    nodes: set[str]
    since: float


@dataclass(slots=True)
class Decision:
    """What becomes of the attempts of one job."""

    adopted: list[tuple[AgentSession, int, Row]] = field(default_factory=list)  # with the pool
    refused: list[tuple[AgentSession, tuple[int, int]]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # tasks
    awaited: set[str] = field(default_factory=set)  # nodes
    changes: Changes = field(default_factory=Changes)


class Adoption:
    """Adoption by one supervisor. `sessions`: the registered agents; `apply` applies changes to the cache."""

    def __init__(
        self,
        db: Database,
        jobs: LiveJobs,
        sessions: dict[int, AgentSession],
        clock: Callable[[], int],
        apply: Callable[[Changes], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._sessions = sessions
        self._clock = clock
        self._apply = apply
        self._monotonic = monotonic
        self._awaited: dict[int, Awaited] = {}  # by job
        self._deciding = asyncio.Lock()  # one after another: each holds the planning of several sessions

    def expect(self, live: LiveJob, nodes: Collection[str]) -> None:
        """Await the agents of nodes that have attempts of a job which was just claimed; `decide` must follow."""
        if nodes:
            self._awaited[live.id] = Awaited(set(nodes), self._monotonic())

    async def arrive(self, session: AgentSession) -> None:
        """Decide about the attempts of a node whose agent has registered."""
        jobs = {job for job, awaited in self._awaited.items() if session.node in awaited.nodes}
        if session.pending:
            tasks = json.dumps([task for task, _ in session.pending])
            rows = await self._db.read(lambda c: c.all("tasks_for_reports", tasks=tasks))
            pools = {*session.pending_pools, *(row["pool"] for row in rows)}
            jobs |= {live.id for pool in pools if (live := self._jobs.by_pool(pool))}
        for job in jobs:
            if live := self._jobs.by_id(job):
                await self.decide(live)

    async def expire(self) -> None:
        """Decide about what has waited for the length of a lease."""
        early = self._monotonic() - LEASE_SECONDS
        for job, awaited in list(self._awaited.items()):
            live = self._jobs.by_id(job)
            if live is None:
                del self._awaited[job]
            elif awaited.since < early:
                await self.decide(live, late=True)
        for session in self._sessions.values():
            if session.pending_since < early and (session.pending or session.pending_pools):
                session.refuse(list(session.pending))
                session.settle(list(session.pending_pools))

    async def decide(self, live: LiveJob, late: bool = False) -> None:
        """Decide about the attempts of a job, but for those whose agent is awaited still. `late`: none is."""
        async with self._deciding, AsyncExitStack() as stack:
            for session in list(self._sessions.values()):
                if session.pending:
                    await stack.enter_async_context(session.planning)
            here = {session.node: session for session in self._sessions.values()}
            found = await self._db.write(lambda c: self._decide(c, live, here, late))
            for session, pool, row in found.adopted:
                session.adopt(pool, row["id"], row["attempt"], row["input"] is None)
            for session, attempt in found.refused:
                session.refuse([attempt])
            for session in here.values():
                session.settle(live.pools)
            if found.awaited:
                self._awaited.setdefault(live.id, Awaited(set(), self._monotonic())).nodes = found.awaited
            else:
                self._awaited.pop(live.id, None)
        self._apply(found.changes)

    def _decide(self, c: Connection, live: LiveJob, here: dict[str, AgentSession], late: bool) -> Decision:
        found, current = Decision(), {session.id for session in here.values()}
        for pool in live.pools:
            for row in c.all("leased_of_pool", pool=pool, limit=MAX_IN_FLIGHT):
                session = here.get(row["node"])
                if row["agent"] in current:
                    continue
                if session is not None and (row["id"], row["attempt"]) in session.pending:
                    found.adopted.append((session, pool, row))
                elif session is not None or late:
                    found.lost.append(row["id"])
                else:
                    found.awaited.add(row["node"])
        c.many("adopt_lease", [{"task": row["id"], "agent": session.id} for session, _, row in found.adopted])
        adopted = {(row["id"], row["attempt"]) for _, _, row in found.adopted}
        for session in here.values():
            found.refused += [(session, each) for each in pending_of(c, session, live) if each not in adopted]
        if found.lost:
            rows = c.all("tasks_for_reports", tasks=json.dumps(found.lost))
            reasons = {row["id"]: AbortReason.SCHEDULER for row in rows}
            found.changes = lose_attempts(c, self._jobs.by_pool, rows, self._clock(), None, False, reasons)
        return found


def pending_of(c: Connection, session: AgentSession, live: LiveJob) -> list[tuple[int, int]]:
    """The pending attempts of an agent at tasks of a job."""
    if not session.pending:
        return []
    rows = c.all("tasks_for_reports", tasks=json.dumps(sorted({task for task, _ in session.pending})))
    tasks = {row["id"] for row in rows if row["pool"] in live.pools}
    return [(task, attempt) for task, attempt in session.pending if task in tasks]
