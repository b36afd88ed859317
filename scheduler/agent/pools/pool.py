"""A pool on this node: the tasks of one phase of one job, and the instances that run them.

The supervisor tells a pool how many instances it should have, and gives it tasks. After every event
the pool restores these conditions, in `converge` and `fill`:

- It has the number of instances that it was told, or one while it has a task. `instances` makes and ends them.
- Instances are filled evenly and in order, each the further ahead the shorter tasks are (`pacing`).
- Where instances are reserved by Nomad there are no more than allocations, and one whose allocation is taken
  away ends with its task, or soon (`reservations`). Tasks that then find no slot go back to the supervisor.
- Once `init` has failed no task starts: the first task gets the reason, the others a reference to
  it. The same holds for a pool whose instances can never start.

A lost worker costs the task that ran there one attempt; those that waited behind it go back to the
head of the queue. When several instances in a row cannot be made, the tasks go back to the
supervisor, so that another node may run them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator

from datapath.passing import Done
from scheduler.agent.attempts.attempt import Attempt, verdict_of
from scheduler.agent.attempts.capture import Scratch
from scheduler.agent.attempts.input_files import BusyError
from scheduler.agent.attempts.reports import Reporter
from scheduler.agent.attempts.task_inputs import InputGoneError
from scheduler.agent.attempts.verdict import INIT_FAILED_BEFORE, NO_IMAGE, Stop
from scheduler.agent.blobs.slices import line_end_of
from scheduler.agent.pools.assets import Assets
from scheduler.agent.pools.caps.tier_limits import Caps
from scheduler.agent.pools.completion import Completion
from scheduler.agent.pools.conclusion import Conclusion
from scheduler.agent.pools.context import AgentContext
from scheduler.agent.pools.instance_factory import InstanceFactory, limits_of
from scheduler.agent.pools.instances import Instances
from scheduler.agent.pools.pacing import Pace, room
from scheduler.agent.pools.preparation import Preparation
from scheduler.agent.pools.reopened_outputs import scripts_may_reopen
from scheduler.agent.pools.worker import NO_DONE, State, Worker
from scheduler.agent.slots.reservations import Reservations
from scheduler.common.background import TaskSet
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptId, FeedPage, FeedState, Outcome, PoolSpec, PoolState, TaskLease

RETRY_SECONDS = 0.01
# Seconds that tasks wait for a slot before they go back to the supervisor.
HOMELESS_SECONDS = 2.0
# Seconds after which an attempt of an operation is said to run: shorter ones are over before that.
BEGUN = 0.25
# Attempts after which a task is no longer moved to another instance.
MAX_MOVES = 8


class Pool:
    """The tasks and instances of one phase on this node. All methods run on the event loop."""

    def __init__(self, spec: PoolSpec, node: AgentContext) -> None:
        self.spec = spec
        self.node = node
        self.log = node.log.about(job=spec.job, phase=spec.phase)
        self.scratch = Scratch(node.stores.born(spec.last))
        self.pace = Pace()
        self.queue: deque[TaskLease] = deque()
        self.target = 0
        self.closed = False
        limits = limits_of(spec)
        self._reporter = Reporter(node.stores, self.scratch, spec, limits.disk_bytes)
        self._assets = Assets(spec.assets, node.stores)
        self._background = TaskSet(self.log.unexpected)  # cancelled when the pool closes
        self._endings = TaskSet(self.log.unexpected)  # awaited when the pool closes
        self._homeless: asyncio.TimerHandle | None = None
        self.places = Reservations(node.slots.arrivals, spec.pool, self._places_changed)
        maker = InstanceFactory(node, self.log, limits, self._assets, self.places)
        self._instances = Instances(self, maker, self._background, self._endings)
        pinned, spawn = spec.operation is not None, self._endings.spawn
        self._completion = Completion(node, self.log, self._reporter, spawn, pinned)
        self._caps = Caps(limits, spec.timeout_s, spawn, self.replace)
        self._conclusion = Conclusion(self, spec, node, self._reporter, self._completion, self._caps, self.pace, spawn)
        self.attempt_ended = self._conclusion.attempt_ended
        self._preparation = Preparation(
            node.stores, self._completion, line_end_of(spec), self._background.spawn, self._ready
        )
        # The reason why no task can start here, for its error.
        self._doom = None if spec.init_error is None else (JobErrorCode.TASK_INIT, spec.init_error)

    # -- what the supervisor says ------------------------------------------------------------

    def grant(self, instances: int, tasks: list[TaskLease]) -> None:
        self.target = instances
        self.places.want(instances)
        if self.spec.counting:
            self._background.spawn(self._count(tasks))
            return
        self._ready(self._preparation.begin(tasks))

    async def _count(self, tasks: list[TaskLease]) -> None:
        await self._preparation.count(tasks, self.pace)
        self.node.hurry()

    def _ready(self, tasks: list[TaskLease]) -> None:
        self.queue.extend(tasks)
        self.advance()

    def cancel(self, attempt: AttemptId) -> bool:
        """Kill or drop an attempt; of an operation only its end is reported then. False if it is not here."""
        for lease in self.queue:
            if (lease.task, lease.attempt) == (attempt.task, attempt.attempt):
                self.queue.remove(lease)
                self.cancelled(attempt)
                return True
        if self._preparation.drop(attempt):
            self.cancelled(attempt)
            return True
        return self._instances.stop(attempt, Stop.CANCEL)

    def cancelled(self, attempt: AttemptId) -> None:
        """Confirm that nothing is left of a cancelled attempt: operations wait for that."""
        if self.spec.operation is not None and not self.closed:
            self._completion.confirm(attempt)

    def feed(self, page: FeedPage) -> bool:
        """Queue sources for a reducer; False if it does not run here (any more)."""
        if (found := self.find(page.task, page.attempt)) is None or found[1].feed is None:
            return False
        found[1].feed.accept(page)
        return True

    def find(self, task: int, number: int) -> tuple[Worker, Attempt] | None:
        """The attempt of this task and number, and the instance that was handed it."""
        return self._instances.find(task, number)

    def state(self) -> PoolState:
        """The pool's state for a poll: its instances, and how many more tasks it asks for."""
        held = len(self.queue) + len(self._preparation) + sum(len(worker.handed) for worker in self.workers)
        able = max(self.places.limit(self.target), 1 if self._doom else 0)
        more, booked = room(self.pace, able, held, self.spec.blocking), self.places.booked
        idle = held > 0 and not any(worker.handed for worker in self.workers)
        return PoolState.model_construct(
            pool=self.spec.pool, instances=self.instances, room=more, booked=booked, idle=idle
        )

    def attempts(self) -> list[AttemptId]:
        """All attempts that it has, up to those whose reports are being made."""
        found = (AttemptId(task=lease.task, attempt=lease.attempt) for lease in self._leases())
        return list(dict.fromkeys((*found, *self._preparation.attempts(), *self._completion.concluding)))

    def feeds(self) -> list[FeedState]:
        return [state for attempt in self._instances.attempts() if attempt.feed and (state := attempt.feed.state())]

    def close(self, over: bool = False) -> Coroutine[None, None, None]:
        """Kill everything; nothing is reported. `over`: the pool has ended on all nodes.

        Instances count as ending from this call on, and are gone when what it returns has been awaited.
        """
        self.closed = self._completion.closed = True
        self.places.close(over)
        self.queue.clear()
        self._preparation.clear()
        self._background.cancel()
        abandoned, endings = self._instances.close()
        for attempt in abandoned:
            self._reporter.release(attempt)
        unborn = self._instances.starting, self.spec.memory_mb
        self.node.slots.expect(*unborn)
        return self._close(endings, unborn)

    async def _close(self, endings: list[Coroutine[None, None, None]], unborn: tuple[int, int]) -> None:
        await asyncio.gather(*endings)
        await self._preparation.close()
        while unfinished := self._background.tasks | self._endings.tasks:
            await asyncio.wait(unfinished)
        self.node.slots.forget(*unborn)
        self.scratch.close()
        self._assets.close()

    # -- reconciliation ----------------------------------------------------------------------

    def advance(self) -> None:
        """Restore the pool's conditions after any event: the right number of instances, each with work."""
        if self.closed:
            return
        self._preparation.keep(self._leases())
        self.refuse()
        self.vacate()
        self.converge()
        self.fill()

    def _leases(self) -> Iterator[TaskLease]:
        """The leases of all tasks that wait or run."""
        yield from self.queue
        yield from (attempt.lease for attempt in self._instances.attempts())

    def refuse(self) -> None:
        """Fail the waiting tasks if no task can start."""
        while self._doom is not None and self.queue:
            self._completion.fail(self.queue.popleft(), *self._doom)

    def converge(self) -> None:
        """Have as many instances as there should be."""
        least = 1 if self.queue or self._preparation else 0
        none = self._doom or self.spec.counting
        self._instances.converge(0 if none else self.places.limit(max(self.target, least)))

    def vacate(self) -> None:
        """End instances whose allocation is taken away: those that must end now, and the others with their task."""
        for worker in list(self.workers):
            if self.places.gone(worker.number):
                self._evict(worker)
            elif self.places.leaving(worker.number) and (worker.state is not State.LEAVING or worker.may_stay):
                worker.leave()
                worker.recall()
                self._instances.leave_if_idle(worker)
        if self.queue and self.places.booked == 0 and self._homeless is None:
            self._homeless = asyncio.get_running_loop().call_later(HOMELESS_SECONDS, self._send_away)

    def _evict(self, worker: Worker) -> None:
        """Kill an instance whose allocation is gone. Its running attempt counts as evicted, not as failed."""
        attempts = worker.abandon()
        for attempt in attempts:
            attempt.orphaned = True
        running, waiting = (attempts[0], attempts[1:]) if attempts else (None, [])
        for attempt in reversed(waiting):
            self.give_back(attempt)
        if running is not None:
            self._reporter.release(running)
            if not running.init and running.stop is not Stop.CANCEL:
                self._completion.evict(running.lease)
        self._instances.remove(worker)
        if running is not None and running.stop is Stop.CANCEL:
            self._endings.spawn(self._confirm_once_gone(worker, running))

    async def _confirm_once_gone(self, worker: Worker, attempt: Attempt) -> None:
        await worker.gone.wait()
        self.cancelled(attempt.id)

    def give_back(self, attempt: Attempt) -> None:
        """Queue an attempt that has not begun again."""
        self._reporter.release(attempt)
        if attempt.stop is not Stop.CANCEL:
            self.queue.appendleft(attempt.lease)
        else:
            self.cancelled(attempt.id)

    def _send_away(self) -> None:
        """Return waiting tasks to the supervisor, since no allocation is left for them."""
        self._homeless = None
        while self.queue and not self.closed and self.places.booked == 0:
            self._completion.evict(self.queue.popleft(), AbortReason.WAITING_TIMEOUT)

    def _places_changed(self) -> None:
        self.advance()
        self.node.changed()

    def fill(self) -> None:
        """Hand waiting tasks to instances, the emptiest first."""
        ahead = 1 if self.spec.blocking else self.pace.ahead()
        for worker in self._instances.emptiest(ahead) if self.queue else ():
            if self.node.pressure.short or not self._hand(worker) or not self.queue:
                return

    def _hand(self, worker: Worker) -> bool:
        """Hand the first waiting task (or the init script for it) to a worker; False if it must wait."""
        lease = self.queue[0]
        try:
            if worker.state is State.FRESH:
                worker.hand_init(lease)
                return True
            attempt = worker.hand(lease)
        except (BusyError, BlockingIOError):
            if not worker.handed:
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self.advance)
            return False
        except (InputGoneError, ValueError) as error:
            self.queue.popleft()
            near = lease.blob is None or self.node.stores.is_near(lease.blob)
            self._completion.lack_input(lease, str(error), gone=near)
            return True
        except (BrokenPipeError, ConnectionResetError):
            asyncio.get_running_loop().call_soon(worker.read)  # which will find that the lackey is gone
            return False
        except OSError as error:
            self.queue.popleft()
            self.log.error("a task could not be started", task=lease.uuid, why=str(error))
            self._completion.lose(lease)
            return True
        self.queue.popleft()
        if self.spec.piped:
            self._background.spawn(attempt.hash_meanwhile())
        if attempt.feed is not None:
            self.node.changed()
        return True

    @property
    def instances(self) -> int:
        """The number of instances, including those that are being made."""
        return len(self._instances)

    @property
    def workers(self) -> list[Worker]:
        """The instances that were made."""
        return self._instances.workers

    @property
    def is_piped(self) -> bool:
        """Whether tasks print into pipes, and may open their own outputs again; known once there is an instance."""
        return self.spec.piped or bool(self._assets.may_reopen) or scripts_may_reopen(self.spec)

    @property
    def busy(self) -> bool:
        """Whether a task runs or waits."""
        return bool(self.queue or self._preparation) or any(worker.handed for worker in self.workers)

    def tick(self, now: float) -> None:
        """Check running tasks: recall what waits behind long ones, enforce caps that the kernel does not."""
        for worker in self.workers:
            running = next(iter(worker.handed.values()), None)
            if running is None:
                continue
            if self.spec.operation is not None and not (running.init or running.told) and now - running.began >= BEGUN:
                running.told = True
                self.node.began(running.id)
            if worker.is_long(now):
                worker.recall()
            self._caps.look(worker, running, now)
        if self.queue and self.node.stores.node is not None and self._instances.all_long(now):
            self.pace.doubt()
            for lease in [lease for lease in self.queue if lease.attempt < MAX_MOVES]:
                self.queue.remove(lease)  # other nodes may run it sooner
                self._completion.evict(lease)

    # -- instances ---------------------------------------------------------------------------

    def asset_gone(self, why: str) -> None:
        """Fail the first task with the reason; no other can start either."""
        if self.queue:
            self._completion.fail(self.queue.popleft(), JobErrorCode.TASK_INIT, why)
            self._doom = self._doom or (JobErrorCode.TASK_INIT, INIT_FAILED_BEFORE)

    def image_unknown(self, why: str) -> None:
        """Fail all tasks: no image matches what the phase asks for."""
        self.log.warning("no image matches what a phase asks for", why=why)
        self._doom = (JobErrorCode.INVALID_ARGUMENT, NO_IMAGE)
        self.advance()

    def starts_failed(self) -> None:
        """Give the tasks back: several instances in a row could not be made."""
        while self.queue and not self.workers:
            self._completion.lose(self.queue.popleft())

    def worker_lost(self, worker: Worker, running: Attempt | None, waiting: list[Attempt]) -> None:
        """Handle the loss of a worker whose lackey is gone."""
        for attempt in reversed(waiting):
            self.give_back(attempt)
        if running is not None and running.init:
            self._reporter.release(running)
            self._instances.start_again("the instance died in its init script")
        elif running is not None:
            self._completion.conclude(running, NO_DONE, verdict_of(running, NO_DONE, self.spec))
        self._instances.remove(worker)
        self.advance()

    def replace(self, worker: Worker) -> None:
        """End an instance; another one replaces it if there is anything to do."""
        if worker in self.workers:
            self._evict(worker)
            asyncio.get_running_loop().call_soon(self.advance)

    def settle(self, worker: Worker) -> None:
        """Handle that a worker has reported all the ends that it knew of."""
        self._instances.leave_if_idle(worker)
        self.advance()
        if not self.busy:
            self.node.hurry()

    def init_ended(self, worker: Worker, attempt: Attempt, done: Done) -> None:
        """Handle the end of the init script. If it failed, the first task, if there is any, carries the reason."""
        verdict = verdict_of(attempt, done, self.spec)
        if verdict.outcome is Outcome.OK:
            worker.initialized(self._reporter.usage(attempt, done))
            self._reporter.release(attempt)
            return
        worker.leave()
        if verdict.outcome is Outcome.FAILED and self.queue:
            attempt.lease = self.queue.popleft()
            attempt.uncaptured = True
            self._doom = self._doom or (JobErrorCode.TASK_INIT, INIT_FAILED_BEFORE)
            self._completion.conclude(attempt, done, verdict)
            return
        self._reporter.release(attempt)
        if verdict.outcome is Outcome.LOST:
            self._instances.start_again("the init script could not be started")
