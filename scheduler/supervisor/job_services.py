"""Job services: what users do to jobs, also where the job's owner is in another process.

A gateway decides nothing about jobs. It records what was requested, in a transaction that ends with an announcement;
the owner of the job, in any process, hears that and reads it. If the job has no owner, the next supervisor to claim it
finds what was written. So a request is answered as soon as it is durable, whether or not any supervisor lives.

Only cancelling and aborting are done completely here, because their answer promises that nothing of the job counts from
now on. The job's owner then notices, tells the agents, and archives the job.

The gateway knows only the protocol `JobService`. `RecordedJobService` serves jobs of any owner. In a process with a
supervisor, `LocalFirstJobService` calls it directly for the jobs that it owns, without the way over the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from scheduler.common.waiting import wait_for
from scheduler.model.job import JobSpec
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.model.wire import RunningAnswer
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Connection, Database, select
from scheduler.records.fences import Fenced
from scheduler.records.turns import MANY
from scheduler.supervisor import announcements
from scheduler.supervisor.agents import running_requests
from scheduler.supervisor.agents.running_requests import RunningRequest
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.control import requests
from scheduler.supervisor.control.cancelling import abort_named, cancel_named
from scheduler.supervisor.jobs import intake
from scheduler.supervisor.jobs.intake import UNKNOWN, Creator, Named
from scheduler.supervisor.operations import creation
from scheduler.supervisor.supervisor import Supervisor


class JobService(Protocol):
    """Operations on jobs, for the gateway.

    All changes are durable when a method returns. Raises WireError for a job that is over.
    """

    async def create_job(
        self, owner: str, spec: JobSpec, headers: Mapping[str, str] = NO_HEADERS, creator: Creator = UNKNOWN
    ) -> str:
        """Record a job and make its directories, which store `headers`; returns its UUID."""

    async def add_inputs(self, job: Named, lines: Sequence[str], end: bool = False) -> None:
        """Record inputs, and `end` the job's input. Raises WireError if the job takes none."""

    async def end_input(self, job: Named) -> None:
        """End the job's input. Harmless if it has ended already."""

    async def cancel(self, job: Named) -> None:
        """Cancel a job: none of its tasks counts any more."""

    async def control(self, job: Named, request: ControlRequest) -> None:
        """Ask something of a job that runs; it may not be carried out yet when this returns."""

    async def wait_for_change(self, job: Named, seconds: float) -> None:
        """Return when a job may have changed, or after `seconds`; at once if it is done."""

    async def ask_agent(self, job: Named, agent: int, request: RunningRequest) -> RunningAnswer | None:
        """The answer to a request about a running task, of the agent that holds it; None if it does not answer."""

    async def runs(self, uuid: str) -> bool:
        """Whether the job exists and is not done."""


class RecordedJobService:
    """A JobService by records and announcements. `open` it before use, on the event loop that uses it."""

    def __init__(self, db: Database, clock: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock
        self._waiting: defaultdict[int, list[asyncio.Event]] = defaultdict(list)
        self._posted: dict[int, asyncio.Event] = {}
        self._stopping = False
        self._stop_listening: Callable[[], None] = lambda: None

    def open(self) -> None:
        self._stop_listening = self._db.listen(self._hear)

    def close(self) -> None:
        """Answer every wait now, and later ones at once: the service is about to stop."""
        self._stopping = True
        self._stop_listening()
        self._hear(announcements.EVERYTHING)

    async def create_job(
        self, owner: str, spec: JobSpec, headers: Mapping[str, str] = NO_HEADERS, creator: Creator = UNKNOWN
    ) -> str:
        """Record a job without an owner, for a supervisor to claim; returns its UUID."""

        def work(c: Connection) -> str:
            live = creation.create_job(c, owner, spec, self._clock(), headers, creator=creator)
            c.announce(announcements.JOBS)
            return live.uuid

        return await self._db.of(owner).write(work)

    async def add_inputs(self, job: Named, lines: Sequence[str], end: bool = False) -> None:
        def work(c: Connection) -> None:
            intake.add_inputs(c, job, lines, self._clock())
            if end:
                intake.flag_end(c, job)

        await self._change(job, work, bulk=len(lines) > MANY)

    async def end_input(self, job: Named) -> None:
        await self._change(job, partial(intake.flag_end, job=job))

    async def cancel(self, job: Named) -> None:
        await self._db.write(partial(cancel_named, job=job, now=self._clock()))

    async def control(self, job: Named, request: ControlRequest) -> None:
        if request.verb is Verb.ABORT:
            await self._db.write(partial(abort_named, job=job, reason=request.reason, now=self._clock()))
        else:
            await self._db.write(partial(requests.record, job=job, request=request))

    async def _change(self, job: Named, work: Callable[[Connection], object], *, bulk: bool = False) -> None:
        def announced(c: Connection) -> None:
            work(c)
            c.announce(announcements.job(job.id))

        await self._db.write(announced, bulk=bulk)

    async def wait_for_change(self, job: Named, seconds: float) -> None:
        """Return when the job's owner announces a change, or after `seconds`; at once if the job is done."""
        changed = asyncio.Event()
        self._waiting[job.id].append(changed)
        try:
            if await self.runs(job.uuid) and not self._stopping:
                await wait_for(changed, seconds)
        finally:
            self._waiting[job.id].remove(changed)
            if not self._waiting[job.id]:
                del self._waiting[job.id]

    async def ask_agent(self, job: Named, agent: int, request: RunningRequest) -> RunningAnswer | None:
        """Post a request for the owner of the job, and wait for its answer."""
        number = secrets.randbits(52)
        answered = self._posted[number] = asyncio.Event()
        post = partial(
            running_requests.post, number=number, job=job.id, agent=agent, request=request, now=self._clock()
        )
        try:
            await self._db.write(post)
            await wait_for(answered, running_requests.ANSWER_SECONDS + 1)
        finally:
            del self._posted[number]
        return await running_requests.take(self._db, number)

    async def runs(self, uuid: str) -> bool:
        rows = await self._db.read(select("job_by_uuid", uuid=uuid))
        return bool(rows) and rows[0]["state"] != "done"

    def _hear(self, subject: str) -> None:
        kind, number = announcements.parse(subject)
        for asked, answered in self._posted.items():
            if subject == announcements.EVERYTHING or (kind == announcements.ANSWERED and number == asked):
                answered.set()
        jobs = [number] if kind in (announcements.JOB, announcements.NEWS) else []
        for each in list(self._waiting) if subject == announcements.EVERYTHING else jobs:
            for changed in self._waiting.get(each, ()):
                changed.set()


class LocalFirstJobService:
    """A JobService of a process with a supervisor.

    `supervisor()` is the current supervisor of the process, None before the first.
    """

    def __init__(self, recorded_jobs: RecordedJobService, supervisor: Callable[[], Supervisor | None]) -> None:
        self._recorded_jobs = recorded_jobs
        self._supervisor = supervisor

    async def create_job(
        self, owner: str, spec: JobSpec, headers: Mapping[str, str] = NO_HEADERS, creator: Creator = UNKNOWN
    ) -> str:
        """Create a job with this process's supervisor as its owner, or record it for another to claim."""
        if supervisor := self._supervisor():
            with contextlib.suppress(Fenced):
                return await supervisor.create_job(owner, spec, headers, creator)
        return await self._recorded_jobs.create_job(owner, spec, headers, creator)

    async def add_inputs(self, job: Named, lines: Sequence[str], end: bool = False) -> None:
        await self._nearest(
            job, lambda s, live: s.add_inputs(live, lines, end), lambda p: p.add_inputs(job, lines, end)
        )

    async def end_input(self, job: Named) -> None:
        await self._nearest(job, lambda s, live: s.end_input(live), lambda p: p.end_input(job))

    async def cancel(self, job: Named) -> None:
        await self._nearest(job, lambda s, live: s.cancel(live), lambda p: p.cancel(job))

    async def control(self, job: Named, request: ControlRequest) -> None:
        await self._nearest(job, lambda s, live: s.control(live, request), lambda p: p.control(job, request))

    async def wait_for_change(self, job: Named, seconds: float) -> None:
        await self._nearest(
            job, lambda s, live: s.wait_for_change(live, seconds), lambda p: p.wait_for_change(job, seconds)
        )

    async def ask_agent(self, job: Named, agent: int, request: RunningRequest) -> RunningAnswer | None:
        supervisor = self._supervisor()
        if supervisor and supervisor.jobs.by_uuid(job.uuid):
            return await supervisor.agent_service.running.ask(agent, request)
        return await self._recorded_jobs.ask_agent(job, agent, request)

    async def runs(self, uuid: str) -> bool:
        """By the records: a supervisor hears some time later that another work has ended its job."""
        return await self._recorded_jobs.runs(uuid)

    async def _nearest(
        self,
        job: Named,
        directly: Callable[[Supervisor, LiveJob], Awaitable[None]],
        by_post: Callable[[RecordedJobService], Awaitable[None]],
    ) -> None:
        supervisor = self._supervisor()
        if supervisor and (live := supervisor.jobs.by_uuid(job.uuid)):
            with contextlib.suppress(Fenced):  # another supervisor has taken over, and reads the records
                await directly(supervisor, live)
                return
        await by_post(self._recorded_jobs)
