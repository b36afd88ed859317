"""A pool on this node: the tasks of one phase of one job, and the instances that run them.

A pool is told how many instances it should have, and is handed tasks. It keeps three things
true, after every event, in `converge` and `fill`:

- It has as many instances as it was told, or one while it has a task (tasks that were leased
  must run). New ones are made in the background; superfluous ones leave after their task.
- Instances are filled evenly and in order, each as far ahead as tasks are short (`pacing`).
- Where instances are booked there are no more than have arrived, and one whose place is taken away
  ends with its task, or soon (`places`). What then finds no place goes back to the supervisor.
- Where `init` failed no task ever starts: the first task gets the reason, the others a
  reference to it. The same holds for a pool whose instances can never start.

A worker that is lost costs the task that ran there one attempt; those that waited behind it
go back to the head of the queue. When several instances in a row cannot even be made, the
tasks are given back too, so that another node may have them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Coroutine, Iterator

from datapath.passing import Done, DoneFlag
from scheduler.agent.assets import AssetError, Assets
from scheduler.agent.attempt import Attempt, Reporter, blobs_of, plain_report, verdict_of
from scheduler.agent.capture import Scratch
from scheduler.agent.node import Node
from scheduler.agent.pacing import Pace, room
from scheduler.agent.placement import BusyError
from scheduler.agent.places import Places
from scheduler.agent.supply import Supply
from scheduler.agent.verdict import FETCH_FAILED, INIT_FAILED_BEFORE, INTERNAL, LOAD_FAILED, NO_IMAGE, Stop, Verdict
from scheduler.agent.worker import NO_DONE, InputGoneError, State, Worker
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import (
    AttemptId,
    AttemptReport,
    FeedPage,
    FeedState,
    Outcome,
    PoolSpec,
    PoolState,
    TaskLease,
)
from scheduler.providers import Instance, InstanceError, InstanceSpec, NoImageError

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
MAX_FAILURES = 3
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
RETRY_SECONDS = 0.01
# Seconds that tasks wait for a place before others may have them.
HOMELESS_SECONDS = 2.0

# Disk in use is added up for tasks that run longer than this, in seconds, and then so often...
COUNT_AFTER = 1.0
COUNT_EVERY = 1.0
# ... or so many times more seldom than it takes.
COUNT_SHARE = 20.0

LOST = Verdict(Outcome.LOST, JobErrorCode.INTERNAL.value, INTERNAL)


def evicted(lease: TaskLease) -> AttemptReport:
    """An attempt that found no place, or whose place was taken away."""
    return plain_report(lease, LOST).model_copy(update={"evicted": True})


NO_INPUT = Verdict(Outcome.LOST, JobErrorCode.SERVICE_UNAVAILABLE.value, FETCH_FAILED)


class Pool:
    """All methods run on the event loop."""

    def __init__(self, spec: PoolSpec, node: Node) -> None:
        self.spec = spec
        self.node = node
        self.log = node.log.about(job=spec.job, phase=spec.phase)
        self.scratch = Scratch(node.stores.born(spec.last))
        self.pace = Pace()
        self.queue: deque[TaskLease] = deque()
        self.workers: list[Worker] = []
        self.target = 0
        self.closed = False
        self._limits = InstanceSpec(
            spec.memory_mb * MEGABYTE, spec.disk_gb * GIGABYTE, spec.image, f"{spec.job}/{spec.phase}"
        )
        self._reporter = Reporter(node.stores, self.scratch, spec, self._limits.disk_bytes)
        self._assets = Assets(spec.assets, node.stores)
        self._supply = Supply(node.stores, self._arrived)
        self._background: set[asyncio.Task[None]] = set()  # given up when the pool closes
        self._endings: set[asyncio.Task[None]] = set()  # awaited then
        self._starting = 0
        self._failures = 0
        self._homeless: asyncio.TimerHandle | None = None
        self.places = Places(node.slots.arrivals, spec.pool, self._places_changed)
        # Why no task can start here, as its error will say.
        self._doom = None if spec.init_error is None else (JobErrorCode.TASK_INIT, spec.init_error)

    # -- what the supervisor says ------------------------------------------------------------

    def grant(self, instances: int, tasks: list[TaskLease]) -> None:
        self.target = instances
        self.places.want(instances)
        self.queue.extend(lease for lease in tasks if not self._supply.bring(lease))
        self.advance()

    def _arrived(self, lease: TaskLease, error: Exception | None) -> None:
        """The input of a task is here, or cannot be had."""
        if error is None:
            self.queue.append(lease)
        else:
            self._input_failed(lease, str(error), isinstance(error, FileNotFoundError))
        self.advance()

    def cancel(self, attempt: AttemptId) -> bool:
        """Kill or drop an attempt, and report nothing of it. False if it is not here."""
        for lease in self.queue:
            if (lease.task, lease.attempt) == (attempt.task, attempt.attempt):
                self.queue.remove(lease)
                return True
        if self._supply.drop(attempt):
            return True
        for worker in self.workers:
            for running in worker.handed.values():
                if (running.lease.task, running.lease.attempt) == (attempt.task, attempt.attempt):
                    worker.stop(running, Stop.CANCEL)
                    return True
        return False

    def feed(self, page: FeedPage) -> bool:
        """Sources for a reducer; False if it does not run here (any more)."""
        for worker in self.workers:
            for attempt in worker.handed.values():
                if attempt.feed and (attempt.lease.task, attempt.lease.attempt) == (page.task, page.attempt):
                    attempt.feed.accept(page)
                    return True
        return False

    def state(self) -> PoolState:
        held = len(self.queue) + len(self._supply) + sum(len(worker.handed) for worker in self.workers)
        able = self.places.limit(self.target)
        more = room(self.pace, max(able, 1 if self._doom else 0), held, self.spec.reduce)
        booked = self.places.booked
        return PoolState.model_construct(pool=self.spec.pool, instances=self.instances, room=more, booked=booked)

    def feeds(self) -> list[FeedState]:
        if not self.spec.reduce:
            return []
        attempts = (attempt for worker in self.workers for attempt in worker.handed.values())
        return [state for attempt in attempts if attempt.feed and (state := attempt.feed.state())]

    async def close(self, over: bool = False) -> None:
        """Kill everything; nothing is reported. `over`: the pool is, everywhere."""
        self.closed = True
        self.places.close(over)
        self.queue.clear()
        for task in self._background:
            task.cancel()
        workers, self.workers = self.workers, []
        for worker in workers:
            for attempt in worker.abandon():
                self._reporter.release(attempt)
        await asyncio.gather(*(self._destroy(worker.instance, worker.number) for worker in workers))
        await self._supply.close()
        while unfinished := self._background | self._endings:
            await asyncio.wait(unfinished)
        self.scratch.close()
        self._assets.close()

    # -- keeping things true -----------------------------------------------------------------

    def advance(self) -> None:
        """After any event: the right number of instances, each with work."""
        if self.closed:
            return
        self._supply.keep(self._leases())
        self.refuse()
        self.vacate()
        self.converge()
        self.fill()

    def _leases(self) -> Iterator[TaskLease]:
        """Tasks that wait or run."""
        yield from self.queue
        for worker in self.workers:
            yield from (attempt.lease for attempt in worker.handed.values())

    def refuse(self) -> None:
        """Where nothing can start, end what waits."""
        while self._doom is not None and self.queue:
            self._report_failure(self.queue.popleft(), *self._doom)

    def converge(self) -> None:
        staying = [worker for worker in self.workers if worker.state is not State.LEAVING]
        wanted = 0 if self._doom else self.places.limit(max(self.target, 1 if self.queue or self._supply else 0))
        for _ in range(wanted - len(staying) - self._starting):
            self._starting += 1
            self._spawn(self._start())
        superfluous = sorted(staying, key=lambda worker: len(worker.handed))[: max(0, len(staying) - wanted)]
        for worker in superfluous:
            worker.state = State.LEAVING
            self._leave_if_idle(worker)

    def vacate(self) -> None:
        """End instances whose place is taken away: those that must end now, and the others with their task."""
        for worker in list(self.workers):
            if self.places.gone(worker.number):
                self._evict(worker)
            elif self.places.leaving(worker.number) and worker.state is not State.LEAVING:
                worker.state = State.LEAVING
                worker.recall()
                self._leave_if_idle(worker)
        if self.queue and self.places.booked == 0 and self._homeless is None:
            self._homeless = asyncio.get_running_loop().call_later(HOMELESS_SECONDS, self._send_away)

    def _evict(self, worker: Worker) -> None:
        """Kill an instance; it is nobody's fault."""
        attempts = worker.abandon()
        for attempt in attempts:
            attempt.orphaned = True
        running, waiting = (attempts[0], attempts[1:]) if attempts else (None, [])
        for attempt in reversed(waiting):
            self._give_back(attempt)
        if running is not None:
            self._reporter.release(running)
            if not running.init and running.stop is not Stop.CANCEL:
                self.node.finished(evicted(running.lease))
        self._remove(worker)

    def _give_back(self, attempt: Attempt) -> None:
        """An attempt that has not begun may do so elsewhere."""
        self._reporter.release(attempt)
        if attempt.stop is not Stop.CANCEL:
            self.queue.appendleft(attempt.lease)

    def _send_away(self) -> None:
        """What waits, and has no place to wait for, goes back to the supervisor."""
        self._homeless = None
        while self.queue and not self.closed and self.places.booked == 0:
            self.node.finished(evicted(self.queue.popleft()))

    def _places_changed(self) -> None:
        self.advance()
        self.node.changed()

    def fill(self) -> None:
        """Hand waiting tasks to instances, the emptiest first."""
        ahead = 1 if self.spec.reduce else self.pace.ahead()
        now = asyncio.get_running_loop().time()
        while self.queue:
            able = [worker for worker in self.workers if worker.can_take(ahead, now)]
            if not able or not self._hand(min(able, key=lambda worker: len(worker.handed))):
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
            self._input_failed(lease, str(error), gone=near)
            return True
        except (BrokenPipeError, ConnectionResetError):
            asyncio.get_running_loop().call_soon(worker.read)  # which will say that the lackey is gone
            return False
        except OSError as error:
            self.queue.popleft()
            self.log.error("a task could not be started", task=lease.uuid, why=str(error))
            self._report_lost(lease)
            return True
        self.queue.popleft()
        if attempt.feed is not None:
            self.node.changed()
        return True

    @property
    def instances(self) -> int:
        """Those that are on their way, too."""
        return len(self.workers) + self._starting

    @property
    def busy(self) -> bool:
        """Does anything run or wait to run?"""
        return bool(self.queue or self._supply) or any(worker.handed for worker in self.workers)

    def tick(self, now: float) -> None:
        """While tasks run: take back what waits behind a long one, and watch what the kernel does not."""
        for worker in self.workers:
            running = next(iter(worker.handed.values()), None)
            if running is None:
                continue
            if worker.is_long(now):
                worker.recall()
            used = worker.instance.memory_used()
            if used is not None:
                running.peak_kb = max(running.peak_kb, used >> 10)
                if used > self._limits.memory_bytes:
                    worker.stop(running, Stop.MEMORY)
            running.disk_full = running.disk_full or worker.instance.disk_full()
            if now >= max(worker.next_count, running.began + COUNT_AFTER):
                worker.next_count = math.inf
                self._spawn(self._count_disk(worker, running))

    async def _count_disk(self, worker: Worker, running: Attempt) -> None:
        """Add up what an instance and its task have on disk; a task that has too much ends."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        used = await asyncio.to_thread(worker.instance.disk_used)
        if running.number in worker.handed and used + running.written() > self._limits.disk_bytes:
            worker.stop(running, Stop.DISK)
        worker.next_count = loop.time() + max(COUNT_EVERY, COUNT_SHARE * (loop.time() - began))

    # -- instances ---------------------------------------------------------------------------

    async def _start(self) -> None:
        """Make one instance, with assets, once there is room for it."""
        place = self.places.take()
        if place is None and self.places.booked is not None:
            self._starting -= 1  # it was taken away; the next arrival is told
            return
        try:
            number = await self.node.slots.take(self.node.stores.own.root)
        except BaseException:
            self.places.leave(place)
            raise
        self.places.fill(number, place)
        instance: Instance | None = None
        creating = asyncio.ensure_future(self.node.provider.create(number, self._limits))
        try:
            instance = await asyncio.shield(creating)  # half an instance could not be removed
            self._assets.hold()
            if not instance.initialized:
                await asyncio.to_thread(self._assets.copy, instance.work / "assets")
            worker = Worker(self, instance, number)
            await worker.open()
        except AssetError as error:
            await self._destroy(instance, number)
            if self.queue:
                self._report_failure(self.queue.popleft(), JobErrorCode.TASK_INIT, str(error))
                self._doom = self._doom or (JobErrorCode.TASK_INIT, INIT_FAILED_BEFORE)
            await self._start_failed(str(error))
        except NoImageError as error:
            self.log.warning("no image here is what a phase wants", why=str(error))
            self._doom = (JobErrorCode.INVALID_ARGUMENT, NO_IMAGE)
            await self._destroy(instance, number)
            self._starting -= 1
            self.advance()
        except (InstanceError, OSError) as error:
            await self._destroy(instance, number)
            await self._start_failed(str(error))
        except asyncio.CancelledError:
            with contextlib.suppress(InstanceError):
                instance = await creating
            await self._destroy(instance, number)
            raise
        else:
            self._starting -= 1
            self._failures = 0
            self.workers.append(worker)
            self.advance()

    async def _start_failed(self, why: str) -> None:
        """Wait a while before the next try; after some of them give the tasks back."""
        self._failures += 1
        self.log.error("an instance could not be made", why=why, failures=self._failures)
        if self._failures >= MAX_FAILURES:
            while self.queue and not self.workers:
                self._report_lost(self.queue.popleft())
        await asyncio.sleep(min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE))
        self._starting -= 1
        self.advance()

    async def _destroy(self, instance: Instance | None, number: int) -> None:
        await self.node.slots.leave(instance, number)
        self.places.vacate(number)

    def _leave_if_idle(self, worker: Worker) -> None:
        if worker.state is State.LEAVING and not worker.handed:
            worker.abandon()
            self._remove(worker)

    def _remove(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
            self._spawn(self._destroy(worker.instance, worker.number), self._endings)

    def worker_lost(self, worker: Worker, running: Attempt | None, waiting: list[Attempt]) -> None:
        """A worker found its lackey gone."""
        reporter = self._reporter
        for attempt in reversed(waiting):
            self._give_back(attempt)
        if running is not None and running.init:
            reporter.release(running)
            self._starting += 1
            self._spawn(self._start_failed("the instance died in its init script"))
        elif running is not None:
            self._conclude(reporter, running, NO_DONE, verdict_of(running, NO_DONE))
        self._remove(worker)
        self.advance()

    # -- ends of attempts --------------------------------------------------------------------

    def attempt_ended(self, worker: Worker, attempt: Attempt, done: Done) -> None:
        """A worker heard that an attempt is over, and that nothing of it is left running."""
        reporter = self._reporter
        if attempt.init:
            self._init_ended(worker, attempt, done)
        elif attempt.stop is Stop.CANCEL:
            reporter.release(attempt)
            self.node.changed()
        elif attempt.recalled and attempt.stop is None and DoneFlag.STOPPED in done.flags:
            reporter.release(attempt)
            self.queue.appendleft(attempt.lease)
        else:
            attempt.before, worker.init_usage = worker.init_usage, None
            self.pace.add((done.ended_ns - done.started_ns) // 1000)
            self._conclude(reporter, attempt, done, verdict_of(attempt, done))

    def settle(self, worker: Worker) -> None:
        """A worker has told us all the ends that it knew of."""
        self._leave_if_idle(worker)
        self.advance()

    def _init_ended(self, worker: Worker, attempt: Attempt, done: Done) -> None:
        """The first task takes the blame for an init script that failed; with no task here nobody needs to know."""
        verdict = verdict_of(attempt, done)
        if verdict.outcome is Outcome.OK:
            worker.initialized(self._reporter.usage(attempt, done))
            self._reporter.release(attempt)
            return
        worker.state = State.LEAVING
        if verdict.outcome is Outcome.FAILED and self.queue:
            attempt.lease = self.queue.popleft()
            attempt.uncaptured = True
            self._doom = self._doom or (JobErrorCode.TASK_INIT, INIT_FAILED_BEFORE)
            self._conclude(self._reporter, attempt, done, verdict)
            return
        self._reporter.release(attempt)
        if verdict.outcome is Outcome.LOST:
            self._starting += 1
            self._spawn(self._start_failed("the init script could not be started"))

    def _conclude(self, reporter: Reporter, attempt: Attempt, done: Done, verdict: Verdict) -> None:
        if verdict.outcome is not Outcome.OK:
            self.log.info(
                "task failed", task=attempt.lease.uuid, outcome=verdict.outcome, code=verdict.code, why=verdict.message
            )
        if reporter.is_heavy(attempt, verdict):
            self._spawn(self._conclude_in_thread(reporter, attempt, done, verdict), self._endings)
        else:
            self.node.finished(self._report(reporter, attempt, done, verdict))

    async def _conclude_in_thread(self, reporter: Reporter, attempt: Attempt, done: Done, verdict: Verdict) -> None:
        report = await asyncio.to_thread(self._report, reporter, attempt, done, verdict)
        if not self.closed:
            self.node.finished(report)
        else:
            self.node.stores.discard(blob.id for blob in blobs_of(report))

    def _report(self, reporter: Reporter, attempt: Attempt, done: Done, verdict: Verdict) -> AttemptReport:
        """The report of an attempt, which is lost if the disk refuses its outputs. In any thread."""
        try:
            return reporter.report(attempt, done, verdict)
        except OSError as error:
            self.log.error("outputs of a task could not be kept", task=attempt.lease.uuid, why=str(error))
            reporter.release(attempt)
            return plain_report(attempt.lease, LOST)

    def _report_failure(self, lease: TaskLease, code: JobErrorCode, message: str) -> None:
        """End a task that never started."""
        self.log.info("task failed", task=lease.uuid, code=code.value, why=message)
        self.node.finished(plain_report(lease, Verdict(Outcome.FAILED, code.value, message)))

    def _input_failed(self, lease: TaskLease, why: str, gone: bool) -> None:
        """An input cannot be had. One that is an object and `gone` will never be; else the task may run again."""
        if gone and (lease.blob is None or lease.blob.node is None):
            self._report_failure(lease, JobErrorCode.RESOURCE_NOT_FOUND, LOAD_FAILED)
            return
        self.log.warning("input of a task could not be had", task=lease.uuid, why=why)
        self.node.finished(plain_report(lease, NO_INPUT, lease.blob))

    def _report_lost(self, lease: TaskLease) -> None:
        self.node.finished(plain_report(lease, LOST))

    def _spawn(self, work: Coroutine[None, None, None], kept: set[asyncio.Task[None]] | None = None) -> None:
        """Run something besides; `kept` is the set that it belongs to."""
        kept = self._background if kept is None else kept
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        kept.add(task)
        task.add_done_callback(kept.discard)
        task.add_done_callback(self._complain)

    def _complain(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.log.error("unexpected error", why=repr(error))
