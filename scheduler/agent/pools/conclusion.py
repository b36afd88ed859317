"""Conclusion of attempts of which no process is left: what is looked at before the verdict is reported.

1. An attempt that ended while the disk was full is judged first: it may be the one to blame, or a victim (`Pressure`).
2. One that was cancelled is dropped, and one that was recalled before it began waits again.
3. What it and its instance hold on the disk is counted, if that may exceed the cap (`tier_limits`); an instance that
   holds too much is replaced. One that has filled the disk is emptied before the report, so that reports find room.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Protocol

from datapath.passing import Done, DoneFlag
from scheduler.agent.attempts.attempt import Attempt, verdict_of
from scheduler.agent.attempts.reports import Reporter
from scheduler.agent.attempts.verdict import Stop
from scheduler.agent.pools.caps.tier_limits import Caps
from scheduler.agent.pools.completion import Completion
from scheduler.agent.pools.context import AgentContext
from scheduler.agent.pools.pacing import Pace
from scheduler.agent.pools.worker import Worker
from scheduler.common.disk_reserve import Space
from scheduler.model.wire import AttemptId, PoolSpec

# Seconds that an instance which has filled the disk has to disappear before its task is reported.
ROOM_SECONDS = 3.0


class Queue(Protocol):
    """What the conclusion asks of the pool."""

    @property
    def closed(self) -> bool: ...
    def advance(self) -> None: ...
    def cancelled(self, attempt: AttemptId) -> None: ...
    def give_back(self, attempt: Attempt) -> None: ...
    def replace(self, worker: Worker) -> None: ...
    def init_ended(self, worker: Worker, attempt: Attempt, done: Done) -> None: ...


class Conclusion:
    """The conclusion of one pool's attempts. `spawn` runs slow work; the pool waits for it when it closes."""

    def __init__(
        self,
        pool: Queue,
        spec: PoolSpec,
        node: AgentContext,
        reporter: Reporter,
        completion: Completion,
        caps: Caps,
        pace: Pace,
        spawn: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._pool = pool
        self._spec = spec
        self._node = node
        self._reporter = reporter
        self._completion = completion
        self._caps = caps
        self._pace = pace
        self._spawn = spawn

    def attempt_ended(self, worker: Worker, attempt: Attempt, done: Done, now: float) -> None:
        """Conclude an attempt that has ended in its instance by `now`, at once or in the background."""
        if not attempt.recalled and (space := self._node.pressure.doubts(attempt, done.status, now)) is not None:
            self._spawn(self._judge(worker, attempt, done, space))
        else:
            self._take_end(worker, attempt, done, now)

    async def _judge(self, worker: Worker, attempt: Attempt, done: Done, space: Space) -> None:
        """Judge an attempt that has ended while the disk was full."""
        await self._node.pressure.judge(worker, attempt, done.status, space)
        if self._pool.closed:
            self._reporter.release(attempt)
            return
        self._take_end(worker, attempt, done, asyncio.get_running_loop().time())
        self._pool.advance()

    def _take_end(self, worker: Worker, attempt: Attempt, done: Done, now: float) -> None:
        if attempt.init:
            self._pool.init_ended(worker, attempt, done)
        elif attempt.stop is Stop.CANCEL:
            self._reporter.release(attempt)
            self._pool.cancelled(attempt.id)
            self._node.changed()
        elif attempt.recalled and attempt.stop is None and DoneFlag.STOPPED in done.flags:
            self._pool.give_back(attempt)
        else:
            attempt.before, worker.init_usage = worker.init_usage, None
            self._pace.add((done.ended_ns - done.started_ns) // 1000)
            self._caps.check_end(worker, attempt, now, partial(self._conclude, worker, attempt, done))

    def _conclude(self, worker: Worker, attempt: Attempt, done: Done, overfull: bool) -> None:
        """Report an attempt that has ended. `overfull`: it left more than its disk cap."""
        if self._pool.closed:
            self._reporter.release(attempt)
            return
        if attempt.stop is Stop.FULL:
            self._spawn(self._make_room(worker, attempt, done))
            return
        if overfull and attempt.stop is None:
            attempt.stop = Stop.DISK
        self._completion.conclude(attempt, done, verdict_of(attempt, done, self._spec))
        if overfull:
            self._pool.replace(worker)

    async def _make_room(self, worker: Worker, attempt: Attempt, done: Done) -> None:
        """Free what the attempt and its instance have on a full disk before the report is made."""
        self._pool.replace(worker)
        await asyncio.to_thread(self._reporter.empty, attempt)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROOM_SECONDS):
                await worker.gone.wait()
        if self._pool.closed:
            self._reporter.release(attempt)
        else:
            self._completion.conclude(attempt, done, verdict_of(attempt, done, self._spec))
