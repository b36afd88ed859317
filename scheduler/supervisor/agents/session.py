"""What the supervisor knows of each agent: what it can take now, and what was already sent.

An agent tells its whole state with every request; between two of them the supervisor keeps
count of what it sent. A state that was sent before the newest poll reply arrived there says
nothing about room (`AgentState.seen`), because what that reply granted is not in it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from scheduler.engine.feasibility import Tiers
from scheduler.model.tickets import source_of
from scheduler.model.wire import (
    AgentState,
    AttemptId,
    AttemptReport,
    FeedState,
    PollReply,
    PoolGrant,
    RegisterRequest,
    TaskLogRequest,
)

# Intermediates that an agent has still to be told to remove.
MAX_DISCARDS = 100_000


@dataclass(slots=True)
class Reducer:
    """A reduce task that an agent was given: its pool, the newest attempt, how far that was fed, and whether to the
    end of its input."""

    pool: int
    attempt: int
    ended: bool = False
    given: int = 0


@dataclass(slots=True)
class AgentSession:
    """One start of one agent. `held` counts attempts leased to it, by pool."""

    id: int
    node: str
    slots: int
    offer: Tiers  # all that its instances may have of memory together, and the largest disk
    heard: float  # monotonic seconds
    disabled: int = 0  # of the slots
    away: int = 0  # slots that serve other supervisors
    away_mb: int = 0  # and memory
    ending: int = 0  # instances that are being ended
    ending_mb: int = 0
    lack: str | None = None  # what its node has too little of to run tasks
    provider: str = "process"
    booked: bool = False  # instances are made when a booking arrives
    draining: bool = False  # nothing new is to begin there
    keep: dict[int, int] = field(default_factory=dict)  # of what is booked, by pool; of the others all
    serves: str | None = None  # where other agents get intermediates of its node
    tickets: str | None = None  # the key of the tickets that it asks of them
    number: int = 0  # of the newest poll reply
    polls: int = 0  # asked so far
    state: AgentState = field(default_factory=lambda: AgentState(seen=0))
    held: Counter[int] = field(default_factory=Counter)
    told: dict[int, int] = field(default_factory=dict)  # instances per pool as last told
    since: dict[int, float] = field(default_factory=dict)  # when a pool got its instances here
    revoked: list[AttemptId] = field(default_factory=list)
    discards: list[str] = field(default_factory=list)  # intermediates on its node that nobody needs any more
    log_requests: list[TaskLogRequest] = field(default_factory=list)  # what it is asked of running tasks
    reducers: dict[int, Reducer] = field(default_factory=dict)  # by task: those that were leased to it
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    unseen: PollReply | None = None  # the newest reply, until the agent shows that it has it

    @classmethod
    def of(cls, agent: int, request: RegisterRequest, now: float) -> AgentSession:
        offer = Tiers(request.memory_mb, request.disk_gb)
        return cls(
            agent,
            request.node,
            max(1, request.slots),
            offer,
            now,
            provider=request.provider,
            booked=request.booked,
            serves=request.serves,
            tickets=request.tickets,
        )

    def source(self, blob: str, reader: str) -> str | None:
        """Where the agent of another node, `reader`, gets an intermediate that lies on this one."""
        return source_of(self.serves, self.tickets or "", blob, reader) if self.serves else None

    def discard(self, blobs: Iterable[str]) -> None:
        """Nobody needs these any more. More than the agent can be told soon, it finds when it starts again."""
        self.discards += islice(blobs, max(0, MAX_DISCARDS - len(self.discards)))

    def hear(self, state: AgentState, now: float) -> None:
        """Take over a state, unless a reply is still on its way to whoever sent it."""
        self.heard = now
        self.disabled, self.away, self.away_mb = state.disabled, state.away, state.away_mb
        self.ending, self.ending_mb = state.ending, state.ending_mb
        self.lack = state.lack
        if state.seen == self.number:
            self.state = state
            self.unseen = None
            self.wake.set()

    def room(self, pool: int) -> int | None:
        """How many more tasks the agent wants of a pool; None if it does not know the pool."""
        return next((known.room for known in self.state.pools if known.pool == pool), None)

    def present(self, pool: int) -> int:
        """Instances of a pool that are there, or on their way, as far as was told."""
        return next((known.instances for known in self.state.pools if known.pool == pool), 0)

    def bookings(self, pool: int) -> int:
        """Instances of a pool that may be there, because they were booked."""
        return next((known.booked or 0 for known in self.state.pools if known.pool == pool), 0)

    def may_have(self, pool: int, booked: int) -> int:
        """How many of the booked instances are to be there."""
        return 0 if self.draining else min(booked, self.keep.get(pool, booked))

    def stuck(self, pool: int) -> bool:
        """Whether none of a pool's tasks runs there, because the node lacks something."""
        return self.lack is not None and all(known.idle for known in self.state.pools if known.pool == pool)

    def full(self, pool: int) -> bool:
        """Whether it said that it can take no more of a pool, after it had heard all that we have to say."""
        return self.unseen is None and self.room(pool) == 0

    def feeds(self) -> list[FeedState]:
        """Reducers that want more, as far as was told, counting what was sent since."""
        return [feed for feed in self.state.feeds if feed.room > 0 and self._feeding(feed)]

    def _feeding(self, feed: FeedState) -> bool:
        reducer = self.reducers.get(feed.task)
        return reducer is not None and reducer.attempt == feed.attempt and not reducer.ended

    def is_new(self, granted: PoolGrant) -> bool:
        """Whether a grant says anything that the agent does not know, beside its tasks."""
        return granted.spec is not None or self.told.get(granted.pool) != granted.instances

    def take_discards(self, limit: int) -> list[str]:
        """What the agent is told to remove next."""
        taken, self.discards = self.discards[:limit], self.discards[limit:]
        return taken

    def grant(self, granted: PoolGrant, now: float) -> None:
        """A pool was given instances and attempts."""
        pool = granted.pool
        self.held[pool] += len(granted.tasks)
        for task in granted.tasks:
            if task.reducer is not None:
                self.reducers[task.task] = Reducer(pool, task.attempt)
        if self.told.get(pool) != granted.instances:
            self.since[pool] = now
        self.told[pool] = granted.instances

    def reported(self, reports: Iterable[AttemptReport]) -> None:
        """These attempts are over: they are fed no more."""
        for report in reports:
            self.ended(report.task, report.attempt)

    def ended(self, task: int, attempt: int) -> None:
        """An attempt is over, or not wanted any more."""
        reducer = self.reducers.get(task)
        if reducer is not None and reducer.attempt == attempt:
            del self.reducers[task]

    def sent(self, reply: PollReply) -> None:
        """A reply is on its way: until a state shows that it arrived, there is no room."""
        self.number = reply.number
        self.unseen = reply
        for page in reply.feeds:
            if (reducer := self.reducers.get(page.task)) is None:
                continue
            reducer.ended = page.end
            if page.sources:
                reducer.given = page.sources[-1].seq
        self.state = AgentState(
            seen=reply.number,
            pools=[pool.model_copy(update={"room": 0}) for pool in self.state.pools],
            feeds=[feed.model_copy(update={"room": 0}) for feed in self.state.feeds],
        )

    def forget(self, pool: int) -> None:
        """A pool is over."""
        for known in (self.told, self.since, self.held):
            known.pop(pool, None)
        self.reducers = {task: reducer for task, reducer in self.reducers.items() if reducer.pool != pool}
