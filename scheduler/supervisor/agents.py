"""What the supervisor knows of each agent: what it can take now, and what was already sent.

An agent tells its whole state with every request; between two of them the supervisor keeps
count of what it sent. A state that was sent before the newest poll reply arrived there says
nothing about room (`AgentState.seen`), because what that reply granted is not in it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from scheduler.engine.fit import Tiers
from scheduler.model.wire import AgentState, AttemptId, FeedState, PollReply, PoolGrant, RegisterRequest

# An agent that was not heard of for so long is dead, in seconds: longer than a poll hangs.
LEASE_SECONDS = 45.0


@dataclass(slots=True)
class Reducer:
    """A reduce task that an agent was given: its pool, the newest attempt, whether that was sent its end of input."""

    pool: int
    attempt: int
    ended: bool = False


@dataclass(slots=True)
class AgentSession:
    """One start of one agent. `held` counts attempts leased to it, by pool."""

    id: int
    node: str
    slots: int
    offer: Tiers  # all that its instances may have of memory together, and the largest disk
    heard: float  # monotonic seconds
    disabled: int = 0  # of the slots
    provider: str = "process"
    number: int = 0  # of the newest poll reply
    polls: int = 0  # asked so far
    state: AgentState = field(default_factory=lambda: AgentState(seen=0))
    held: Counter[int] = field(default_factory=Counter)
    told: dict[int, int] = field(default_factory=dict)  # instances per pool as last told
    since: dict[int, float] = field(default_factory=dict)  # when a pool got its instances here
    revoked: list[AttemptId] = field(default_factory=list)
    reducers: dict[int, Reducer] = field(default_factory=dict)  # by task: those that were leased to it
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    unseen: PollReply | None = None  # the newest reply, until the agent shows that it has it

    @classmethod
    def of(cls, agent: int, request: RegisterRequest, now: float) -> AgentSession:
        offer = Tiers(request.memory_mb, request.disk_gb)
        return cls(agent, request.node, max(1, request.slots), offer, now, provider=request.provider)

    def hear(self, state: AgentState, now: float) -> None:
        """Take over a state, unless a reply is still on its way to whoever sent it."""
        self.heard = now
        self.disabled = state.disabled
        if state.seen == self.number:
            self.state = state
            self.unseen = None
            self.wake.set()

    def room(self, pool: int) -> int | None:
        """How many more tasks the agent wants of a pool; None if it does not know the pool."""
        return next((known.room for known in self.state.pools if known.pool == pool), None)

    def feeds(self) -> list[FeedState]:
        """Reducers that want more, as far as was told, counting what was sent since."""
        return [feed for feed in self.state.feeds if feed.room > 0 and self._feeding(feed)]

    def _feeding(self, feed: FeedState) -> bool:
        reducer = self.reducers.get(feed.task)
        return reducer is not None and reducer.attempt == feed.attempt and not reducer.ended

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

    def sent(self, reply: PollReply) -> None:
        """A reply is on its way: until a state shows that it arrived, there is no room."""
        self.number = reply.number
        self.unseen = reply
        for page in reply.feeds:
            self.reducers[page.task].ended = page.end
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
