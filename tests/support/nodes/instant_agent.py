"""An agent without instances: it answers every lease at once, as the test says.

It speaks to the supervisor through the same messages as the real one, in this process, and so
tests what the supervisor does with them, and how fast.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

from scheduler.agent.pools.completion import stopped_report
from scheduler.common.ids import new_blob_id, new_id
from scheduler.model import naming
from scheduler.model.wire import (
    AgentState,
    AttemptId,
    AttemptReport,
    BlobRef,
    FeedState,
    Outcome,
    OutputRecord,
    PollReply,
    PollRequest,
    PoolSpec,
    PoolState,
    RegisterRequest,
    ReportRequest,
    RunningAnswer,
    TaskLease,
    TaskLogRequest,
    TaskShellRequest,
)
from scheduler.supervisor.supervisor import Supervisor
from scheduler.supervisor.tasks.blob_ownership import blobs_of

EMPTY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
# What a task reports; None: nothing, as if it went on for ever.
Answer = Callable[[PoolSpec, TaskLease], AttemptReport | None]


def ok(spec: PoolSpec, task: TaskLease, outputs: int = 1) -> AttemptReport:
    """Success with empty outputs."""
    records = []
    for _ in range(outputs):
        name = naming.stdout_name(spec.login, spec.job, task.base, spec.phase, new_id())
        records.append(OutputRecord(name=name, blob=BlobRef(id=new_blob_id(), size=0, md5=EMPTY_MD5)))
    return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.OK, outputs=records)


def failed(spec: PoolSpec, task: TaskLease) -> AttemptReport:
    return AttemptReport(
        task=task.task, attempt=task.attempt, outcome=Outcome.FAILED, code="UserTaskError",
        message="user command exited with code 1",
    )  # fmt: skip


class InstantAgent:
    """`fed` records which blobs each reduce task was given, in order; `reported` what was handed in.

    `times`: how often each report is in its batch. `hasty`: reducers end without reading. `prints`: what every task
    has printed, if it is asked for; None: that is not answered. Not `remembers`: leases and reports are not recorded,
    which would take the more time the more there are.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        answer: Answer = ok,
        node: str = "here",
        slots: int = 4,
        memory_mb: int = 1 << 20,
        times: int = 1,
        hasty: bool = False,
        prints: bytes | None = None,
        remembers: bool = True,
    ) -> None:
        self.supervisor = supervisor
        self.answer = answer
        self.leases: list[TaskLease] = []
        self.fed: dict[int, list[str]] = {}
        self.cancelled: list[int] = []
        self.reported: list[AttemptReport] = []
        self.id = 0
        self.registered = asyncio.Event()
        self._node, self._slots, self._memory_mb = node, slots, memory_mb
        self._times, self._hasty = times, hasty
        self.prints = prints
        self._remembers = remembers
        self.asked: list[TaskLogRequest] = []
        self.shells: list[TaskShellRequest] = []
        self.asked_for_shell = asyncio.Event()
        self._specs: dict[int, PoolSpec] = {}
        self._instances: dict[int, int] = {}
        self._reducing: dict[tuple[int, int], tuple[PoolSpec, TaskLease]] = {}
        self._after: dict[tuple[int, int], int] = {}
        self._seen = 0
        self._of_operations: set[tuple[int, int]] = set()
        self.confirms = True  # that nothing is left of an attempt that was cancelled

    async def run(self) -> None:
        """Until cancelled."""
        request = RegisterRequest(node=self._node, slots=self._slots, memory_mb=self._memory_mb, provider="none")
        self.id = agent = await self.supervisor.agent_service.register(request)
        self.registered.set()
        while True:
            reply = await self.supervisor.agent_service.poll(PollRequest(agent=agent, state=self.state()))
            for request in reply.logs:
                self.asked.append(request)
                self._tell_log(request)
            for wish in reply.shells:
                self.shells.append(wish)
                self.asked_for_shell.set()
                self.start_shell(wish)
            reports = [report for report in self._take(reply) if report] * self._times
            if reports:
                self.reported += reports if self._remembers else ()
                await self.hand_in(reports)

    async def hand_in(self, reports: list[AttemptReport]) -> None:
        """Report, and remove what attempts have left that came to nothing, as a real agent does."""
        request = ReportRequest.model_construct(agent=self.id, state=self.state(), attempts=reports)
        refused = (await self.supervisor.agent_service.report(request)).discard
        gone = {(attempt.task, attempt.attempt) for attempt in refused}
        left = [report for report in reports if (report.task, report.attempt) in gone]
        self.supervisor.agent_service._blobs.discard(blob.id for report in left for blob in blobs_of(report))

    def _tell_log(self, request: TaskLogRequest) -> None:
        if self.prints is not None:
            data = base64.b64encode(self.prints[request.offset :]).decode()
            self.supervisor.agent_service.running.answer(self.id, RunningAnswer(number=request.number, data=data))

    def start_shell(self, request: TaskShellRequest) -> None:
        """Answer a request for a shell; this agent has none, and says nothing."""

    def state(self) -> AgentState:
        pools = [
            PoolState(pool=pool, instances=count, room=64 * count - self._running(pool))
            for pool, count in self._instances.items()
        ]
        feeds = [FeedState(task=t, attempt=a, after=self._after[t, a], room=100) for t, a in self._reducing]
        return AgentState(seen=self._seen, pools=pools, feeds=feeds)

    def gone(self, lease: TaskLease) -> AttemptReport:
        """The report that nothing is left of an attempt that was cancelled."""
        return stopped_report(AttemptId(task=lease.task, attempt=lease.attempt))

    def instances(self) -> int:
        """In all pools."""
        return sum(self._instances.values())

    def _running(self, pool: int) -> int:
        return sum(1 for spec, _ in self._reducing.values() if spec.pool == pool)

    def _take(self, reply: PollReply) -> list[AttemptReport | None]:
        self._seen = reply.number
        reports: list[AttemptReport | None] = []
        for grant in reply.pools:
            if grant.spec:
                self._specs[grant.pool] = grant.spec
            self._instances[grant.pool] = grant.instances
            spec = self._specs[grant.pool]
            for task in grant.tasks:
                if self._remembers:
                    self.leases.append(task)
                if spec.operation is not None:
                    self._of_operations.add((task.task, task.attempt))
                if task.fed and not (self._hasty or (task.feed and task.feed.end)):
                    self._reducing[task.task, task.attempt] = spec, task
                    sources = task.feed.sources if task.feed else []
                    self._after[task.task, task.attempt] = sources[-1].seq if sources else 0
                    if sources:
                        self.fed.setdefault(task.task, []).extend(source.blob.id for source in sources)
                else:
                    reports.append(self.answer(spec, task))
        for page in reply.feeds:
            key = page.task, page.attempt
            self.fed.setdefault(page.task, []).extend(source.blob.id for source in page.sources)
            if page.sources:
                self._after[key] = page.sources[-1].seq
            if page.end:
                reports.append(self.answer(*self._reducing.pop(key)))
        for gone in reply.cancel:
            self.cancelled.append(gone.task)
            self._reducing.pop((gone.task, gone.attempt), None)
            if (gone.task, gone.attempt) in self._of_operations and self.confirms:
                reports.append(stopped_report(gone))
        for pool in reply.release:
            self._instances.pop(pool, None)
        return reports


async def with_agent(agent: InstantAgent, until: asyncio.Future[None]) -> None:
    """Run an agent until the future is done; its failure is the test's failure."""
    running = asyncio.ensure_future(agent.run())
    await asyncio.wait([running, until], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
