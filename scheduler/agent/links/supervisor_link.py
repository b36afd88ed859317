"""A link: one registration of the agent with one supervisor, its polls and reports, and the clock that
ticks meanwhile.

*Polling* brings work: one request is always waiting at the gateway. *Reporting* delivers results:
attempts that finished while the last report was in flight form the next one, so the batches grow
with the load and nothing waits when there is none. While more tasks run, a report is held back
until `LINGER` seconds after the last, since a request costs as much as several small tasks. The end
of the last task of a pool is reported at once: its job may be waiting for nothing else, however
much other jobs have to do.

A supervisor that does not know the agent (any more) may be the next start of one that did. So the
agent registers anew with a list of all attempts that it has, which go on meanwhile; the supervisor
takes over those that its records say are leased, and cancels the others. But an agent that was cut off
for too long (`lease`) has nothing of value: it drops everything.

Example: 32 tasks of 1.5 ms are running in two instances. The first to end is reported at
once, the next 25 together 20 ms later; the last ones go when nothing runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence

from scheduler.agent.attempts.reports import clock_us, plain_report
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client, UnavailableError, UnknownAgentError
from scheduler.agent.links.lease import MARGIN, SilentError, SupervisorLease
from scheduler.agent.links.report_queue import ReportQueue
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
from scheduler.model.errors import WireError
from scheduler.model.wire import (
    LEASE_SECONDS,
    MAX_HELD,
    MAX_WORD,
    AgentBeat,
    AgentState,
    AttemptId,
    AttemptReport,
    Outcome,
    PollReply,
    PollRequest,
    PoolGrant,
    RegisterRequest,
    ReportRequest,
    SweepRequest,
)
from scheduler.providers import Provider

LINGER = 0.1
# Tasks that a poll has brought start before the next poll is made, which takes as long as to start one.
START_SECONDS = 0.001
TICK = 0.25
# Seconds before an agent with attempts registers anew: the first pause and the longest.
AGAIN_PAUSES = (0.05, 5.0)
KINDS = (False, True)  # of pools: whose tasks always make progress, whose may wait for others


class SupervisorLink:
    """The registrations with the supervisor at one address, until it is silent too long, refuses the agent, or does
    not know an agent that has no attempts, or `run` is cancelled.
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
        self._lost = stores.reach.lost
        self._count = count
        self._log = log
        self._id = 0
        self._seen = 0
        self._states = 0  # how many were sent
        self._pools: dict[int, Pool] = {}
        self._running = RunningRequests(client, self._pools)
        self._closing = TaskSet(self._log.unexpected)
        self._news = asyncio.Event()  # there is something to report
        self._busy = asyncio.Event()  # a task runs or waits
        self._watching = False  # `_watch_idle` is about to be called
        # a pool, or the whole link, has nothing more to run: its job waits for the ends that are not reported yet
        self._urgent = asyncio.Event()
        self._contact = SupervisorLease(self._complain)
        self._reports = ReportQueue(stores, self._send, self._contact.ask, self._closing, log)
        slots = slots or Slots()
        self._pressure = Pressure(stores.own.root, self._workers, log)
        self.node = AgentContext(
            stores, provider, client, endpoints, log, self._finish, self._news.set, slots, self._pressure,
            self._urgent.set, self._note_begun,
        )  # fmt: skip

    async def run(self) -> None:
        """Work until the registration is no longer valid. Leaves no instance behind."""
        parting: list[Coroutine[None, None, None]] = []
        backoff = Backoff(*AGAIN_PAUSES)
        try:
            while await self._work():
                await asyncio.sleep(backoff.next())
        except asyncio.CancelledError:
            parting.append(self._say_goodbye())
            raise
        finally:  # a supervisor may leave while its link is closing, and cancel that: what is half ended would stay
            await to_the_end(self._part(parting))

    async def _part(self, parting: Sequence[Coroutine[None, None, None]]) -> None:
        self._lost.forget(self)
        await asyncio.gather(self._close(), *parting)

    async def _work(self) -> bool:
        """Work until a registration ends; returns whether there are attempts to register anew with."""
        forgotten = False
        try:
            await self._register()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll())
                group.create_task(self._report())
                group.create_task(self._tick())
                group.create_task(self._watch_disk())
                group.create_task(self._contact.keep(lambda: self._client.beat(AgentBeat(agent=self._id))))
                group.create_task(self._sweep())
        except* UnknownAgentError:
            self._log.warning("the supervisor does not know this agent any more: starting as new")
            forgotten = True
        except* SilentError:
            self._log.warning("the supervisor is silent: its leases have ended, and its tasks end here")
        except* WireError as refused:
            self._log.error("the supervisor refuses this agent", why=str(refused.exceptions[0]))
        return forgotten and bool(self._held())

    async def _register(self) -> None:
        """Register, with all attempts that there are. Raises WireError; SilentError if they have waited too long."""
        held = self._held()
        request = self._request.model_copy(update={"held": held, "pools": self._holding()})
        try:
            async with asyncio.timeout(LEASE_SECONDS + MARGIN if held else None):
                reply = await self._contact.ask(lambda: self._client.register(request))
        except TimeoutError:
            raise SilentError from None
        self._id, self._seen = reply.agent, 0
        self._lost.forget(self)  # all that are lost are told anew
        goes_on = set(request.pools) if reply.adopts else set()
        for number in self._pools.keys() - goes_on:
            self._closing.spawn(self._pools.pop(number).close())
        if not reply.adopts:
            self._reports.discard()
        self.node.slots.join(self, self._news.set)
        told = {"attempts": len(held)} if held else {}
        self._log.info("registered", agent=self._id, node=self._request.node, slots=self._request.slots, **told)
        self._news.set()

    def _held(self) -> list[AttemptId]:
        """All attempts that there are, up to those whose reports are not answered."""
        running = [attempt for pool in self._pools.values() for attempt in pool.attempts()]
        return [*self._reports.attempts(), *running][:MAX_HELD]

    def _holding(self) -> list[int]:
        """The pools that have attempts."""
        return [number for number, pool in self._pools.items() if pool.attempts()]

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
            await asyncio.sleep(START_SECONDS if reply.pools else 0)

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
        if reply.lost is not None:
            self._lost.tell(self, reply.lost)
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
        self._reports.note_begun(attempt)
        self._news.set()

    def _finish(self, report: AttemptReport) -> None:
        self._count(report.outcome)
        self._reports.add(report)
        self._news.set()
        if not self._watching:  # once for all ends that are read together
            self._watching = True
            asyncio.get_running_loop().call_soon(self._watch_idle)

    def _watch_idle(self) -> None:
        self._watching = False
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
            if held_back > 0 and not self._reports.is_long and self._busy.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(held_back):
                        await self._urgent.wait()
            self._news.clear()
            self._urgent.clear()
            await self._reports.hand_in()
            if not self._reports.is_empty:
                self._news.set()
            last = loop.time()

    async def _send(self, batch: Sequence[AttemptReport], began: Sequence[AttemptId]) -> list[AttemptId]:
        now = clock_us(time.monotonic_ns())
        request = ReportRequest.model_construct(
            agent=self._id, state=self._state(), attempts=list(batch), began=list(began), clock_us=now
        )
        return await self._client.report(request)

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
        await asyncio.to_thread(self._reports.discard)
        if self.node.stores.node is not None:
            self._log.info("bytes exchanged with other nodes", **self.node.stores.traffic.sums())
