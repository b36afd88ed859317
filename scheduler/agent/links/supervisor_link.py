"""A link: one registration of the agent with one supervisor, its polls and reports, and the clock that
ticks meanwhile.

*Polling* brings work: one request is always waiting at the gateway. *Reporting* delivers results:
attempts that finished while the last report was in flight form the next one, so the batches grow
with the load and nothing waits when there is none. While more tasks run, a report is held back
until `LINGER` seconds after the last, since a request costs as much as several small tasks. The end
of the last task of a pool is reported at once: its job may be waiting for nothing else, however
much other jobs have to do.

Outputs are durable before they are reported: one flush for the whole batch. An agent that the
supervisor no longer knows has nothing of value: it drops everything and registers anew. The same
is true of an agent that was cut off for too long (`lease`).

Example: 32 tasks of 1.5 ms are running in two instances. The first to end is reported at
once, the next 25 together 20 ms later; the last ones go when nothing runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence

from scheduler.agent.attempts.reports import blobs_of, clock_us, plain_report
from scheduler.agent.attempts.verdict import FULL_MACHINE
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client, FullError, UnavailableError, UnknownAgentError
from scheduler.agent.links.lease import SilentError, SupervisorLease
from scheduler.agent.links.running_requests import RunningRequests
from scheduler.agent.log import Log
from scheduler.agent.pools.caps.disk_pressure import Pressure
from scheduler.agent.pools.completion import LOST, stopped_report
from scheduler.agent.pools.context import AgentContext
from scheduler.agent.pools.pool import Pool
from scheduler.agent.pools.worker import Worker
from scheduler.agent.slots.reservations import strangers
from scheduler.agent.slots.slots import Slots, Use
from scheduler.agent.task_api.endpoint import Endpoints
from scheduler.common.background import TaskSet, to_the_end
from scheduler.common.backoff import Backoff
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.wire import (
    MAX_OUTPUTS,
    MAX_REPORTS,
    MAX_WORD,
    AgentBeat,
    AgentState,
    AttemptId,
    AttemptReport,
    BlobRef,
    Outcome,
    PollReply,
    PollRequest,
    PoolGrant,
    RegisterRequest,
    ReportRequest,
    SweepRequest,
)
from scheduler.providers import Provider

MAX_BATCH = 256
LINGER = 0.1
# Smaller outputs free too little space to fail their task for it.
DROPPED_BYTES = 1 << 20
TICK = 0.25
# Seconds between tries of a flush that the disk refuses: the first pause and the longest.
FLUSH_PAUSES = (0.1, 5.0)
KINDS = (False, True)  # of pools: whose tasks always make progress, whose may wait for others


class SupervisorLink:
    """One registration with one supervisor, until that forgets it or is silent too long, or `run` is
    cancelled.
    """

    def __init__(
        self,
        request: RegisterRequest,
        stores: Stores,
        provider: Provider,
        client: Client,
        endpoints: Endpoints,
        log: Log,
        slots: Slots | None = None,
        count: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """`slots` are shared with other links and with earlier registrations: some may still be disabled.

        `count` is called with the outcome of each attempt.
        """
        self._request = request
        self._client = client
        self._count = count
        self._log = log
        self._id = 0
        self._seen = 0
        self._states = 0  # how many were sent
        self._pools: dict[int, Pool] = {}
        self._running = RunningRequests(client, self._pools)
        self._closing = TaskSet(self._log.unexpected)
        self._finished: deque[AttemptReport] = deque()
        self._began: list[AttemptId] = []  # attempts that the supervisor is to be told of
        self._news = asyncio.Event()  # there is something to report
        self._busy = asyncio.Event()  # a task runs or waits
        # a pool, or the whole link, has nothing more to run: its job waits for the ends that are not reported yet
        self._urgent = asyncio.Event()
        self._contact = SupervisorLease(self._complain)
        slots = slots or Slots()
        self._pressure = Pressure(stores.own.root, self._workers, log)
        self.node = AgentContext(
            stores, provider, client, endpoints, log, self._finish, self._news.set, slots, self._pressure,
            self._urgent.set, self._note_begun,
        )  # fmt: skip

    async def run(self) -> None:
        """Work until the registration is no longer valid. Leaves no instance behind."""
        parting: list[Coroutine[None, None, None]] = []
        try:
            await self._work()
        except asyncio.CancelledError:
            parting.append(self._say_goodbye())
            raise
        finally:  # a supervisor may leave while its link is closing, and cancel that: what is half ended would stay
            await to_the_end(self._part(parting))

    async def _part(self, parting: Sequence[Coroutine[None, None, None]]) -> None:
        await asyncio.gather(self._close(), *parting)

    async def _work(self) -> None:
        try:
            self._id = await self._contact.ask(lambda: self._client.register(self._request))
            self.node.slots.join(self, self._news.set)
            self._log.info("registered", agent=self._id, node=self._request.node, slots=self._request.slots)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll())
                group.create_task(self._report())
                group.create_task(self._tick())
                group.create_task(self._watch_disk())
                group.create_task(self._contact.keep(lambda: self._client.beat(AgentBeat(agent=self._id))))
                group.create_task(self._sweep())
        except* UnknownAgentError:
            self._log.warning("the supervisor does not know this agent any more: starting as new")
        except* SilentError:
            self._log.warning("the supervisor is silent: its leases have ended, and its tasks end here")
        except* WireError as refused:
            self._log.error("the supervisor refuses this agent", why=str(refused.exceptions[0]))

    async def _say_goodbye(self) -> None:
        """Tell the supervisor, if it can be reached, that this agent leaves: its tasks need not wait for their lease
        to end.
        """
        with contextlib.suppress(UnavailableError, UnknownAgentError, WireError):
            if self._id:
                await self._client.beat(AgentBeat(agent=self._id, leaves=True))

    def pools(self) -> list[Pool]:
        """The pools that this supervisor has here now."""
        return list(self._pools.values())

    # -- polling -----------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            reply = await self._contact.ask(lambda: self._client.poll(self._poll_request()))
            self._apply(reply)

    def _poll_request(self) -> PollRequest:
        return PollRequest.model_construct(agent=self._id, state=self._state())

    def _state(self) -> AgentState:
        pools = self._pools.values()
        slots = self.node.slots
        slots.use(self, self._use())
        away = slots.away(self, self._request.slots, self._request.memory_mb)
        lack = str(self._pressure) if self._pressure.short else slots.lack
        self._states += 1
        return AgentState.model_construct(
            seen=self._seen,
            serial=self._states,
            pools=[pool.state() for pool in pools] + strangers(slots.arrivals, set(self._pools)),
            feeds=[feed for pool in pools for feed in pool.feeds()],
            disabled=slots.disabled,
            away=away.slots,
            away_mb=away.memory_mb,
            ending=slots.ending.slots,
            ending_mb=slots.ending.memory_mb,
            draining=slots.draining,
            lack=lack and lack[:MAX_WORD],
        )

    def _use(self) -> Use:
        """What this link uses of the node: instances with work, and their memory, by kind of pool."""
        kinds = [[pool for pool in self._pools.values() if pool.busy and pool.spec.blocking is kind] for kind in KINDS]
        slots = max(sum(pool.instances for pool in kind) for kind in kinds)
        return Use(slots, max(sum(pool.instances * pool.spec.memory_mb for pool in kind) for kind in kinds))

    def _apply(self, reply: PollReply) -> None:
        """Carry out the instructions of a reply. From then on the supervisor takes our state into account again."""
        self._seen = reply.number
        for cancelled in reply.cancel:
            if not any(pool.cancel(cancelled) for pool in self._pools.values()):
                self._finish(stopped_report(cancelled))  # it has ended; an operation may still wait to hear that
        for number in reply.release:
            if (pool := self._pools.pop(number, None)) is not None:
                self._closing.spawn(pool.close(over=True))
        if reply.discard:
            self._closing.spawn(asyncio.to_thread(self.node.stores.own.discard, reply.discard))
        for grant in reply.pools:
            self._grant(grant)
        for request in reply.logs:
            self._closing.spawn(self._running.tell_log(self._id, request))
        for wish in reply.shells:
            self._closing.spawn(self._running.start_shell(self._id, wish))
        for page in reply.feeds:
            any(pool.feed(page) for pool in self._pools.values())
        self._watch_idle()

    def _grant(self, grant: PoolGrant) -> None:
        pool = self._pools.get(grant.pool)
        if pool is None and grant.spec is not None:
            pool = self._pools[grant.pool] = Pool(grant.spec, self.node)
        if pool is None:
            self._log.error("the supervisor granted a pool without its specification", pool=grant.pool)
            for lease in grant.tasks:
                self._finish(plain_report(lease, LOST))
            return
        pool.grant(grant.instances, grant.tasks)

    # -- reporting ---------------------------------------------------------------------------

    def _note_begun(self, attempt: AttemptId) -> None:
        self._began.append(attempt)
        self._news.set()

    def _finish(self, report: AttemptReport) -> None:
        self._count(report.outcome)
        self._finished.append(report)
        self._news.set()
        self._watch_idle()

    def _watch_idle(self) -> None:
        if any(pool.busy for pool in self._pools.values()):
            self._busy.set()
        else:
            self._urgent.set()
            self._busy.clear()

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        last = 0.0
        while True:
            await self._news.wait()
            held_back = last + LINGER - loop.time()
            if held_back > 0 and len(self._finished) < MAX_BATCH and self._busy.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(held_back):
                        await self._urgent.wait()
            self._news.clear()
            self._urgent.clear()
            batch = next_batch(self._finished) if self._finished else []
            if self._finished:
                self._news.set()
            began, self._began = self._began[:MAX_REPORTS], self._began[MAX_REPORTS:]
            await self._hand_in(batch, began)
            last = loop.time()

    async def _hand_in(self, batch: list[AttemptReport], began: list[AttemptId]) -> None:
        """Make a batch durable and report it; retried until it succeeds."""
        if blobs := [blob for report in batch for blob in blobs_of(report)]:
            await self._flush(blobs)
        await self._contact.ask(lambda: self._send(batch, began))

    async def _send(self, batch: list[AttemptReport], began: Sequence[AttemptId] = ()) -> None:
        now = clock_us(time.monotonic_ns())
        request = ReportRequest.model_construct(
            agent=self._id, state=self._state(), attempts=batch, began=list(began), clock_us=now
        )
        try:
            refused = await self._client.report(request)
        except FullError:
            self._drop_largest(batch)
            raise
        except WireError as error:
            self._log.error("the supervisor refused a report", why=error.message, attempts=len(batch))
            await self._send_less(batch, error.message)
        else:
            self._drop(batch, {(attempt.task, attempt.attempt) for attempt in refused})

    def _drop(self, batch: list[AttemptReport], refused: set[tuple[int, int]]) -> None:
        """Remove the outputs of refused attempts: they were cancelled, or are retried."""
        left = [report for report in batch if (report.task, report.attempt) in refused]
        if doomed := [blob.id for report in left for blob in blobs_of(report)]:
            self._closing.spawn(asyncio.to_thread(self.node.stores.discard, doomed))

    def _drop_largest(self, batch: list[AttemptReport]) -> None:
        """Fail the tasks with the largest outputs and drop these: the records have no disk space for the batch."""
        sizes = [sum(blob.size for blob in blobs_of(report)) for report in batch]
        if sizes and (most := max(sizes)) >= DROPPED_BYTES:
            position = sizes.index(most)
            self.node.stores.discard(blob.id for blob in blobs_of(batch[position]))
            batch[position] = failed_report(batch[position], FULL_MACHINE, JobErrorCode.USER_TASK)

    async def _send_less(self, batch: list[AttemptReport], why: str) -> None:
        """Report one by one what was refused as a batch; a task whose outputs cannot be reported even alone fails."""
        if len(batch) > 1:
            for report in batch:
                await self._send([report])
        elif batch and batch[0].outputs:
            await self._send([failed_report(batch[0], f"cannot save outputs: {why}")])
            self.node.stores.discard(blob.id for blob in blobs_of(batch[0]))

    async def _flush(self, blobs: list[BlobRef]) -> None:
        """Make blobs durable before they are reported. A disk that refuses is retried."""
        backoff = Backoff(*FLUSH_PAUSES)
        while True:
            try:
                await self.node.stores.durable(blobs)
                return
            except OSError as error:
                self._log.error("the disk refuses to flush", why=str(error))
            await asyncio.sleep(backoff.next())

    async def _sweep(self) -> None:
        """Remove unwanted intermediates that an earlier start of this node's agent has left."""

        async def unknown(blobs: list[str]) -> list[str]:
            return await self._contact.ask(lambda: self._client.sweep(SweepRequest(agent=self._id, blobs=blobs)))

        if (leftovers := self.node.stores.leftovers) is not None:
            removed = await leftovers.sweep(unknown)
            if removed is not None:
                self._log.info("removed leftover intermediates", removed=removed)

    # -- the clock, and the end --------------------------------------------------------------

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._busy.wait()
            await asyncio.sleep(TICK)
            for pool in list(self._pools.values()):
                pool.tick(loop.time())

    async def _watch_disk(self) -> None:
        """Watch free disk space while tasks run or wait."""
        while True:
            await self._busy.wait()
            before = self._pressure.short
            pause = await self._pressure.look(self._replace)
            if self._pressure.short != before:
                self._news.set()
                for pool in list(self._pools.values()):
                    pool.advance()
            await asyncio.sleep(pause)

    def _workers(self) -> list[Worker]:
        return [worker for pool in self._pools.values() for worker in pool.workers]

    def _replace(self, worker: Worker) -> None:
        """Replace an idle instance."""
        for pool in self._pools.values():
            pool.replace(worker)

    def _complain(self, why: str) -> None:
        self._log.warning("the supervisor does not answer", why=why)

    async def _close(self) -> None:
        pools = list(self._pools.values())
        self._pools.clear()
        await asyncio.gather(*(pool.close() for pool in pools), *self._closing.tasks)
        self.node.slots.quit(self)
        if never_told := [blob.id for report in self._finished for blob in blobs_of(report)]:
            await asyncio.to_thread(self.node.stores.discard, never_told)
        if self.node.stores.node is not None:
            self._log.info("bytes exchanged with other nodes", **self.node.stores.traffic.sums())


def failed_report(report: AttemptReport, message: str, code: JobErrorCode = JobErrorCode.INTERNAL) -> AttemptReport:
    """The report of the same attempt as failed, without outputs."""
    return AttemptReport(
        task=report.task,
        attempt=report.attempt,
        outcome=Outcome.FAILED,
        code=code.value,
        message=message,
        usage=report.usage,
        instance=report.instance,
    )


def next_batch(finished: deque[AttemptReport]) -> list[AttemptReport]:
    """Take the first reports, at least one, as many as fit into one transaction and one request body."""
    batch = [finished.popleft()]
    outputs = len(batch[0].outputs)
    while finished and len(batch) < MAX_BATCH and (outputs := outputs + len(finished[0].outputs)) <= MAX_OUTPUTS:
        batch.append(finished.popleft())
    return batch
