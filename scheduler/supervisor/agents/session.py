"""Agent session: what the supervisor knows of one agent: its free room, and what was already sent to it.

An agent tells its whole state with every request; between two requests the supervisor counts what it sent. A state
that was sent before the newest poll reply arrived at the agent says nothing about room (`AgentState.seen`), because it
does not include what that reply granted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from scheduler.engine.feasibility import Tiers
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import (
    AgentState,
    AttemptId,
    AttemptReport,
    FeedState,
    PollReply,
    PoolGrant,
    RegisterRequest,
    TaskLogRequest,
    TaskShellRequest,
)

# The largest number of intermediates that an agent has still to be told to remove.
MAX_DISCARDS = 100_000


@dataclass(slots=True)
class Reducer:
    """A task that an agent was given, and that is fed.

    `pool`, the newest `attempt`, how far it was fed (`given`), and whether to the end of its input (`ended`).
    """

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
    offer: Tiers  # the memory of all its instances together, and the largest disk
    heard: float  # monotonic seconds
    disabled: int = 0  # slots whose instance could not be ended
    away: int = 0  # slots that serve other supervisors
    away_mb: int = 0  # memory that serves other supervisors
    ending: int = 0  # instances that are being ended
    ending_mb: int = 0
    lack: str | None = None  # the resource that its node has too little of to run tasks
    provider: str = "process"
    booked: bool = False  # Nomad places its instances
    draining: bool = False  # no instance or task is to begin there
    keep: dict[int, int] = field(default_factory=dict)  # instances that stay, by pool; of other pools all stay
    serves: str | None = None  # address at which other agents get intermediates of its node
    tickets: str | None = None  # the key of the tickets that other agents need for that
    number: int = 0  # number of the newest poll reply
    polls: int = 0  # polls so far
    serial: int = 0  # of the newest state
    state: AgentState = field(default_factory=lambda: AgentState(seen=0))
    held: Counter[int] = field(default_factory=Counter)
    told: dict[int, int] = field(default_factory=dict)  # instances per pool as last told
    told_lost: frozenset[str] = frozenset()  # lost nodes as last told
    since: dict[int, float] = field(default_factory=dict)  # when a pool got its instances here
    revoked: list[AttemptId] = field(default_factory=list)
    discards: list[str] = field(default_factory=list)  # intermediates on its node that no task needs any more
    running_requests: list[TaskLogRequest | TaskShellRequest] = field(default_factory=list)  # that were not sent to it
    reducers: dict[int, Reducer] = field(default_factory=dict)  # reduce tasks that were leased to it, by task
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Attempts of an earlier registration, here or with another supervisor, until it is known which of them go on; the
    # pools that have some; and the clock (monotonic seconds) since when.
    pending: set[tuple[int, int]] = field(default_factory=set)
    pending_pools: set[int] = field(default_factory=set)
    pending_since: float = 0.0
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever fewer are pending
    unseen: PollReply | None = None  # the newest reply, until a poll shows that the agent has it

    @classmethod
    def of(cls, agent: int, request: RegisterRequest, now: float) -> AgentSession:
        """The session of an agent that has just registered."""
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
            pending={(held.task, held.attempt) for held in request.held},
            pending_pools=set(request.pools),
            pending_since=now,
        )

    def source(self, blob: str, reader: str) -> str | None:
        """The address from which the agent of another node, `reader`, gets an intermediate that lies on this node."""
        return source_of(self.serves, self.tickets or "", blob, reader) if self.serves else None

    def discard(self, blobs: Iterable[str]) -> None:
        """Have the agent remove these intermediates. Those beyond `MAX_DISCARDS` it finds when it starts again."""
        self.discards += islice(blobs, max(0, MAX_DISCARDS - len(self.discards)))

    def hear(self, state: AgentState, now: float) -> None:
        """Adopt a state from the agent.

        While a reply is still on its way to the agent, only part of the state counts; nothing of one that a later one
        has overtaken, which would undo what that one asked for.
        """
        self.heard = now
        if state.serial < self.serial:
            return
        self.serial = state.serial
        self.disabled, self.away, self.away_mb = state.disabled, state.away, state.away_mb
        self.ending, self.ending_mb = state.ending, state.ending_mb
        self.lack = state.lack
        for feed in state.feeds:
            if (reducer := self.reducers.get(feed.task)) and reducer.attempt == feed.attempt:
                reducer.given = max(reducer.given, feed.after)
        if not self.booked:  # Nomad says itself which of its nodes it drains
            self.draining = state.draining
            self.lack = "it is being drained" if state.draining else state.lack
        if state.seen == self.number:
            self.state = state
            self.unseen = None
            self.wake.set()

    def usable_slots(self, part: int) -> int:
        """The slots that this supervisor may use, if `part` of the node's count: none of a node that is being drained.

        What other supervisors use is not ours, but for one slot: else a supervisor with long tasks could lock us out.
        """
        if self.draining:
            return 0
        ours = max(min(part, 1), part - self.away)
        return max(0, min(self.slots - self.disabled - self.away, ours))

    def room(self, pool: int) -> int | None:
        """The number of further tasks of a pool that the agent wants; None if it does not know the pool."""
        return next((known.room for known in self.state.pools if known.pool == pool), None)

    def works_on(self, pool: int) -> bool:
        """Whether it has instances or attempts of a pool."""
        return bool(self.told.get(pool)) or self.held[pool] > 0 or pool in self.pending_pools

    def present(self, pool: int) -> int:
        """Number of a pool's instances that exist or are being made, as last reported."""
        return next((known.instances for known in self.state.pools if known.pool == pool), 0)

    def bookings(self, pool: int) -> int:
        """Number of a pool's instances that Nomad has placed there."""
        return next((known.booked or 0 for known in self.state.pools if known.pool == pool), 0)

    def may_have(self, pool: int, booked: int) -> int:
        """The number of `booked` instances that are to exist."""
        return 0 if self.draining else min(booked, self.keep.get(pool, booked))

    def stuck(self, pool: int) -> bool:
        """Whether none of a pool's tasks runs there because the node lacks something."""
        return self.lack is not None and all(known.idle for known in self.state.pools if known.pool == pool)

    def full(self, pool: int) -> bool:
        """Whether the agent wants no more tasks of a pool, and has seen every reply."""
        return self.unseen is None and self.room(pool) == 0

    def feeds(self) -> list[FeedState]:
        """Reducers that want more input, as last reported, less what was sent since."""
        return [feed for feed in self.state.feeds if feed.room > 0 and self._feeding(feed)]

    def _feeding(self, feed: FeedState) -> bool:
        reducer = self.reducers.get(feed.task)
        return reducer is not None and reducer.attempt == feed.attempt and not reducer.ended

    def is_new(self, granted: PoolGrant) -> bool:
        """Whether a grant tells the agent anything besides tasks."""
        return granted.spec is not None or self.told.get(granted.pool) != granted.instances

    def take_discards(self, limit: int) -> list[str]:
        """The next intermediates that the agent is told to remove, at most `limit`."""
        taken, self.discards = self.discards[:limit], self.discards[limit:]
        return taken

    def take_running_requests(self) -> tuple[list[TaskLogRequest], list[TaskShellRequest]]:
        """The requests about running tasks that the agent is told of next: for logs, and for shells."""
        taken, self.running_requests = self.running_requests, []
        logs = [each for each in taken if isinstance(each, TaskLogRequest)]
        return logs, [each for each in taken if isinstance(each, TaskShellRequest)]

    def grant(self, granted: PoolGrant, now: float) -> None:
        """Record that a pool was given instances and attempts."""
        pool = granted.pool
        self.held[pool] += len(granted.tasks)
        for task in granted.tasks:
            if task.fed and not (task.feed and task.feed.end):
                self.reducers[task.task] = Reducer(pool, task.attempt)
        if self.told.get(pool) != granted.instances:
            self.since[pool] = now
        self.told[pool] = granted.instances

    def adopt(self, pool: int, task: int, attempt: int, fed: bool) -> None:
        """Record that a pending attempt goes on."""
        self.pending.discard((task, attempt))
        self.held[pool] += 1
        if fed:
            self.reducers[task] = Reducer(pool, attempt)
        self.settled.set()

    def refuse(self, attempts: Iterable[tuple[int, int]]) -> None:
        """Have the agent end pending attempts that do not go on."""
        for task, attempt in attempts:
            self.pending.discard((task, attempt))
            self.revoked.append(AttemptId(task=task, attempt=attempt))
        self.settled.set()
        self.wake.set()

    def settle(self, pools: Iterable[int]) -> None:
        """Record that no attempt of these pools is pending: the agent is told about them as about any other."""
        for pool in self.pending_pools.intersection(pools):
            self.pending_pools.discard(pool)
            self.told.setdefault(pool, 0)
        self.wake.set()

    def is_pending(self, reports: Iterable[AttemptReport]) -> bool:
        """Whether it is not known of one of these attempts yet whether it goes on."""
        return bool(self.pending) and any((report.task, report.attempt) in self.pending for report in reports)

    def reported(self, reports: Iterable[AttemptReport]) -> None:
        """Record that these attempts have ended: they get no more input."""
        for report in reports:
            self.ended(report.task, report.attempt)

    def ended(self, task: int, attempt: int) -> None:
        """Forget an attempt that has ended or no longer counts."""
        reducer = self.reducers.get(task)
        if reducer is not None and reducer.attempt == attempt:
            del self.reducers[task]

    def sent(self, reply: PollReply) -> None:
        """Record that a reply is on its way: until a state shows that it arrived, there is no room."""
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

    def untaken(self) -> set[tuple[int, int]]:
        """Attempts that were leased by a reply that the agent has not confirmed: task and number."""
        pools = self.unseen.pools if self.unseen is not None else []
        return {(lease.task, lease.attempt) for pool in pools for lease in pool.tasks}

    def forget(self, pool: int) -> None:
        """Forget a pool whose phase is over."""
        for known in (self.told, self.since, self.held):
            known.pop(pool, None)
        self.reducers = {task: reducer for task, reducer in self.reducers.items() if reducer.pool != pool}
