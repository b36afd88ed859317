"""Recording of waiting reasons: the sentence that a job's status shows while none of a phase's tasks runs.

Once a second the supervisor checks its cache. A phase waits if it has ready tasks and no agent holds any of its tasks,
or if every agent that holds some lacks a resource to run them. After `PATIENCE` seconds of waiting the reason is
recorded; it is removed when a task runs. Nothing is written for jobs that do not wait. Where Nomad places instances,
`instances.loop` records the reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scheduler.engine.feasibility import Tiers
from scheduler.engine.waiting_reason import NodeState, limit_reached, why_waiting
from scheduler.records.database import Connection, Database
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs

# Seconds that tasks are ready before a reason is recorded: an instance is made in less.
PATIENCE = 2.0


class Reasons:
    """The waiting reasons of one supervisor's jobs."""

    def __init__(self, db: Database, jobs: LiveJobs, agent_service: AgentService) -> None:
        self._db = db
        self._jobs = jobs
        self._agents = agent_service
        self._since: dict[int, float] = {}  # pools that wait, and since when
        self._told: dict[int, str] = {}  # recorded reasons by pool; "": there may be one in the records

    def take_up(self, live: LiveJob) -> None:
        """Note that another supervisor, or an earlier start, may have recorded a reason."""
        self._told |= dict.fromkeys(live.pools, "")

    async def look(self) -> None:
        """Record the reasons that have changed."""
        now, sessions = self._agents.monotonic(), self._agents.sessions()
        waiting = {pool: live for live in self._jobs for pool in live.pools if self._waits(live, pool, sessions)}
        self._since = {pool: self._since.get(pool, now) for pool in waiting}
        reasons = {
            pool: self._why(live, pool, sessions)
            for pool, live in waiting.items()
            if now - self._since[pool] >= PATIENCE
        }
        over = [pool for pool in self._told if pool not in waiting]
        news: dict[int, str | None] = {pool: why for pool, why in reasons.items() if self._told.get(pool) != why}
        news |= dict.fromkeys(over)
        if news:
            await self._db.write(lambda c: set_waiting(c, news))
        for pool in over:
            del self._told[pool]
        self._told |= reasons
        for pool in news:
            if live := self._jobs.by_pool(pool):
                live.wake_watchers()

    def _waits(self, live: LiveJob, pool: int, sessions: list[AgentSession]) -> bool:
        if live.done or live.suspended or live.lacking:
            return False
        holders = [session for session in sessions if session.held[pool] > 0]
        return all(session.stuck(pool) for session in holders) if holders else self._jobs.ready[pool] > 0

    def _why(self, live: LiveJob, pool: int, sessions: list[AgentSession]) -> str:
        wanted = Tiers.of(live.spec.phases[live.phase_of(pool)])
        nodes = [
            NodeState(each.node, wanted.within(each.offer), each.slots, each.disabled, each.lack) for each in sessions
        ]
        return why_waiting(nodes, self._agents.why_no_agent(), self._limit(live, sessions))

    def _limit(self, live: LiveJob, sessions: list[AgentSession]) -> str | None:
        """The limit on instances that is reached, if one is."""
        most_own, most = live.limits.instances, self._agents.most_instances
        if most_own is None and most is None:
            return None
        had: Counter[str] = Counter()
        for session in sessions:
            for pool, count in session.told.items():
                if owner := self._jobs.by_pool(pool):
                    had[owner.owner] += count
        return limit_reached(live.owner, had[live.owner], most_own, had.total(), most)


def set_waiting(c: Connection, news: Mapping[int, str | None]) -> None:
    for pool, why in news.items():
        c.run("set_waiting", pool=pool, waiting=why)
