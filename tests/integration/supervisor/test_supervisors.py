"""Several supervisors on one database: who owns a job, and what becomes of it when its owner is gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

from scheduler.engine.membership import TTL
from scheduler.model.errors import WireError
from scheduler.model.job import parse_job
from scheduler.model.wire import (
    AgentState,
    LogStream,
    PollRequest,
    PoolSpec,
    RegisterRequest,
    ReportRequest,
    TaskLogRequest,
)
from scheduler.records import accounts
from scheduler.records.database import Connection, Fenced, select
from scheduler.supervisor import membership
from scheduler.supervisor.agents import running_logs
from scheduler.supervisor.agents.presence import UnknownAgentError
from scheduler.supervisor.job_services import LocalFirstJobService, RecordedJobService
from scheduler.supervisor.jobs.intake import IDLE_INPUT_MS, JobRef
from scheduler.supervisor.jobs.retention import LINGER_MS
from scheduler.supervisor.runner import SupervisorRunner
from scheduler.supervisor.supervisor import Supervisor
from tests.integration.conftest import MEMORY
from tests.support.eventually import eventually
from tests.support.ids import id_of
from tests.support.nodes.instant_agent import InstantAgent, ok
from tests.support.services.house import MAP, REDUCE, House

T = TypeVar("T")
SPEC = PoolSpec(
    pool=1, job=id_of("late"), login="jill", phase=0, blocking=False, exec="true", memory_mb=1, disk_gb=1, last=True,
    next_reducers=0, token="",
)  # fmt: skip


class Cluster:
    """Supervisors beside each other, a gateway's post-box, and agents; the database's clock can be moved on."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.db = house.db
        self.ahead_ms = 0
        self.recorded_jobs = RecordedJobService(house.db, house.clock)
        self._supervisors: list[Supervisor] = []
        now = lambda c: time.time_ns() // 1_000_000 + self.ahead_ms  # noqa: E731
        for kind in Connection.__subclasses__():
            monkeypatch.setattr(kind, "now", now)

    def make(self) -> Supervisor:
        made = Supervisor(
            self.db, self.house.blobs, self.house.clock, "{}/{}".format, "http://none", alone=False, beat_seconds=3600
        )
        self._supervisors.append(made)
        return made

    async def start(self) -> Supervisor:
        made = self.make()
        await made.start()
        return made

    async def pass_time(self, ms: int, *living: Supervisor) -> None:
        """So much time passes in steps of a second, and these supervisors beat."""
        for _ in range(0, ms, 1000):
            self.ahead_ms += 1000
            for each in living:
                await each.beat()

    async def end(self) -> None:
        self.recorded_jobs.close()
        for each in self._supervisors:
            await each.stop()

    async def job(self, *phases: dict[str, object]) -> JobRef:
        uuid = await self.recorded_jobs.create_job("jill", parse_job({"phases": list(phases)}))
        return JobRef((await self.house.row(uuid))["id"], uuid)

    async def owner(self, job: JobRef) -> int | None:
        return (await self.house.row(job.uuid))["supervisor"]

    async def state(self, job: JobRef) -> str:
        return (await self.house.row(job.uuid))["state"]

    async def owned(self, job: JobRef) -> int:
        """Wait until somebody owns a job; who."""
        owner = await self.until(lambda: self.owner(job))
        assert owner is not None
        return owner

    async def done(self, job: JobRef) -> None:
        async def done() -> bool:
            return await self.state(job) == "done"

        await self.until(done)

    async def until(self, holds: Callable[[], Awaitable[T]]) -> T:
        """Wait until something is true, as somebody will announce."""
        heard = asyncio.Event()
        stop_listening = self.db.listen(lambda _: heard.set())
        try:
            async with asyncio.timeout(20):
                while not (answer := await holds()):
                    await heard.wait()
                    heard.clear()
        finally:
            stop_listening()
        return answer

    @contextlib.asynccontextmanager
    async def agent(self, supervisor: Supervisor, **options) -> AsyncIterator[InstantAgent]:
        agent = InstantAgent(supervisor, **options)
        running = asyncio.ensure_future(agent.run())
        await agent.registered.wait()
        try:
            yield agent
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    with TemporaryDirectory(dir=MEMORY) as directory:
        house = House(Path(directory))
        await house.db.write(lambda c: accounts.create(c, "jill", 1))
        cluster = Cluster(house, monkeypatch)
        cluster.recorded_jobs.open()
        yield cluster
        await cluster.end()
        house.db.close()
        house.blobs.close()


# Whose job it is.


async def test_a_job_made_while_no_supervisor_lives_starts_once_one_comes(cluster):
    await cluster.house.objects(3)
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.add_inputs(job, ["/jill/stor/o0", "/jill/stor/o1"])
    await cluster.recorded_jobs.end_input(job)
    assert await cluster.owner(job) is None
    supervisor = await cluster.start()
    assert await cluster.owner(job) == supervisor.id
    async with cluster.agent(supervisor) as agent:
        await cluster.done(job)
    assert len(agent.reported) == 2


async def test_jobs_are_shared_out_evenly_and_each_has_one_owner(cluster):
    supervisors = [await cluster.start() for _ in range(3)]
    jobs = [await cluster.job(MAP) for _ in range(7)]
    owners = [await cluster.owned(job) for job in jobs]
    assert sorted(owners.count(each.id) for each in supervisors) == [2, 2, 3]
    await eventually(lambda: sum(len(each.jobs) for each in supervisors) == len(jobs), "all jobs are taken up")
    shadows = [live.uuid for each in supervisors for live in each.jobs]
    assert sorted(shadows) == sorted(job.uuid for job in jobs)


async def test_a_newcomer_takes_nothing_from_those_that_live_and_gets_what_comes(cluster):
    first = await cluster.start()
    jobs = [await cluster.job(MAP) for _ in range(2)]
    assert [await cluster.owned(job) for job in jobs] == [first.id] * 2
    second = await cluster.start()
    assert [await cluster.owner(job) for job in jobs] == [first.id] * 2
    assert [await cluster.owned(await cluster.job(MAP)) for _ in range(2)] == [second.id] * 2


async def test_a_job_whose_claimant_hangs_goes_to_another_after_two_seconds(cluster):
    hangs = await cluster.start()
    await hangs.stop(leave=False)
    other = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.pass_time(1000, other)
    await other.claim()
    assert await cluster.owner(job) is None
    await cluster.pass_time(2000, other)
    assert await cluster.owned(job) == other.id


# When the owner is gone.


async def test_another_takes_over_within_seconds_of_the_last_beat(cluster):
    names = await cluster.house.objects(4)
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP, REDUCE)
    await cluster.recorded_jobs.add_inputs(job, names)
    await cluster.recorded_jobs.end_input(job)
    assert await cluster.owned(job) == first.id
    async with cluster.agent(first, answer=lambda *_: None, node="old") as silent:
        await leased(silent, 4)
    await cluster.pass_time(TTL, first, second)  # both are well
    await first.stop(leave=False)
    await cluster.pass_time(TTL + 1000, second)
    assert await cluster.owned(job) == second.id
    async with cluster.agent(second, node="new"):
        await cluster.done(job)
    row = await cluster.house.row(job.uuid)
    assert (row["outputs"], row["errors"], row["retries"]) == (1, 0, 0)


async def leased(agent: InstantAgent, count: int) -> None:
    await eventually(lambda: len(agent.leases) >= count, f"{count} tasks are leased")


async def test_what_a_lost_supervisor_still_tries_changes_nothing(cluster):
    names = await cluster.house.objects(2)
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.add_inputs(job, names)
    await cluster.owned(job)
    async with cluster.agent(first, answer=lambda *_: None) as agent:
        await leased(agent, 2)
        await cluster.pass_time(TTL, first, second)
        await cluster.pass_time(TTL + 1000, second)
        assert await cluster.owned(job) == second.id
        before = await everything(cluster)
        late = [ok(SPEC, lease) for lease in agent.leases]
        with pytest.raises(Fenced):
            await first.agent_service.report(ReportRequest(agent=agent.id, state=agent.state(), attempts=late))
        with pytest.raises(Fenced):
            await first.add_inputs(first.jobs.by_id(job.id), names)
        with pytest.raises(Fenced):
            await first.beat()
        with pytest.raises(Fenced):
            await first.create_job("jill", parse_job({"phases": [MAP]}))
        assert await everything(cluster) == before


async def everything(cluster: Cluster) -> dict[str, list[tuple]]:
    tables = ("jobs", "phases", "tasks", "inputs", "outputs", "errors", "entries", "supervisors")

    def look(c: Connection) -> dict[str, list[tuple]]:
        return {table: sorted(map(str, map(tuple, c.plain(f"SELECT * FROM {table}")))) for table in tables}

    return await cluster.db.read(look)


async def test_a_supervisor_that_hears_of_its_end_starts_anew_and_its_agents_must_register_again(cluster):
    runner = SupervisorRunner()
    await runner.start(cluster.make)
    old = runner.supervisor
    job = await cluster.job(MAP)
    assert await cluster.owned(job) == old.id
    agent = await old.agent_service.register(RegisterRequest(node="n", slots=1, memory_mb=99, provider="none"))
    await cluster.db.write(lambda c: membership.leave(c, old.id))
    with pytest.raises(Fenced):
        await old.beat()
    old.lost.set()  # as its own beat would have
    await cluster.until(lambda: replaced(runner, old))
    new = runner.supervisor
    assert new.id > old.id
    with pytest.raises(UnknownAgentError):
        await new.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    await eventually(lambda: len(new.jobs), "the new one takes the job up")
    assert await cluster.owner(job) == new.id
    assert [live.uuid for live in new.jobs] == [job.uuid]
    await runner.stop()


async def replaced(runner: SupervisorRunner, old: Supervisor) -> bool:
    return runner.supervisor is not old and runner.supervisor.id > 0


async def test_one_that_ends_in_order_gives_its_jobs_to_the_others_at_once(cluster):
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP)
    assert await cluster.owned(job) == first.id
    await first.stop()
    assert await cluster.until(lambda: owned_by(cluster, job, second))


async def owned_by(cluster: Cluster, job: JobRef, supervisor: Supervisor) -> bool:
    return await cluster.owner(job) == supervisor.id


async def test_after_an_outage_of_everybody_nobody_is_called_lost(cluster):
    first, second = await cluster.start(), await cluster.start()
    await cluster.pass_time(TTL, first, second)
    cluster.ahead_ms += 10 * TTL
    await first.beat()
    assert (await cluster.db.read(living)) == [first.id, second.id]
    await second.beat()
    await cluster.pass_time(2 * TTL, first, second)
    assert (await cluster.db.read(living)) == [first.id, second.id]
    await cluster.pass_time(2 * TTL, second)
    assert (await cluster.db.read(living)) == [second.id]


def living(c: Connection) -> list[int]:
    return [row["id"] for row in c.all("living_supervisors")]


async def test_only_the_first_that_lives_does_what_is_nobodys(cluster):
    first, second = await cluster.start(), await cluster.start()
    await first.beat()
    await second.beat()
    assert (first.leads, second.leads) == (True, False)
    await first.stop()
    await second.beat()
    assert second.leads


async def test_records_that_expired_are_purged_by_the_first_alone(cluster):
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.cancel(job)

    async def archived() -> bool:
        return not len(first.jobs) and (await cluster.house.row(job.uuid))["archive_done"] is not None

    await eventually(archived, "the job is archived")
    cluster.house.wait_ms(LINGER_MS + 1)
    for each in (first, second):
        await each.beat()
    await second.forget_expired()
    assert await cluster.state(job) == "done"
    await first.forget_expired()
    assert not await cluster.db.read(select("job_by_uuid", uuid=job.uuid))


async def test_an_idle_input_is_ended_by_the_owner_of_its_job(cluster):
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP)
    assert await cluster.owned(job) == first.id
    cluster.house.wait_ms(IDLE_INPUT_MS + 1)
    await second.look_around()
    assert await cluster.state(job) == "running"
    await first.look_around()
    assert await cluster.state(job) == "done"


async def test_a_lost_supervisors_record_goes_after_a_day(cluster):
    first, second = await cluster.start(), await cluster.start()
    await first.stop()
    await second.beat()
    await second.forget_expired()
    assert await cluster.db.read(numbers) == [first.id, second.id]
    cluster.ahead_ms += membership.LINGER_MS + 1
    await second.beat()
    await second.forget_expired()
    assert await cluster.db.read(numbers) == [second.id]


def numbers(c: Connection) -> list[int]:
    return sorted(row["id"] for row in c.plain("SELECT id FROM supervisors"))


# What comes by post.


async def test_inputs_and_their_end_by_post_reach_the_owner(cluster):
    names = await cluster.house.objects(3)
    supervisor = await cluster.start()
    job = await cluster.job(MAP, REDUCE)
    await cluster.owned(job)
    async with cluster.agent(supervisor) as agent:
        await cluster.recorded_jobs.add_inputs(job, names[:2])
        await leased(agent, 2)
        await cluster.recorded_jobs.add_inputs(job, names[2:])
        await cluster.recorded_jobs.end_input(job)
        await cluster.done(job)
    assert (await cluster.house.row(job.uuid))["outputs"] == 1


async def test_a_job_without_input_ends_when_its_end_comes_by_post(cluster):
    await cluster.start()
    job = await cluster.job(MAP)
    await cluster.owned(job)
    await cluster.recorded_jobs.end_input(job)
    await cluster.done(job)


async def test_cancelling_by_post_ends_the_job_at_once_and_its_agents_are_told(cluster):
    names = await cluster.house.objects(2)
    supervisor = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.add_inputs(job, names)
    async with cluster.agent(supervisor, answer=lambda *_: None) as agent:
        await leased(agent, 2)
        await cluster.recorded_jobs.cancel(job)
        assert await cluster.state(job) == "done"
        await eventually(lambda: not agent.instances(), "the agent is told to forget the pool")
    errors = await cluster.house.errors(job.uuid)
    assert [error["code"] for error in errors] == ["JobCancelledError"] * 2


async def test_a_job_cancelled_while_nobody_owned_it_is_archived_by_whoever_comes(cluster):
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.cancel(job)
    supervisor = await cluster.start()
    async with asyncio.timeout(20):
        while len(supervisor.jobs):
            (live,) = supervisor.jobs
            await live.changed.wait()
    assert (await cluster.house.row(job.uuid))["archive_done"] is not None


async def test_what_is_over_is_refused_by_post_with_the_same_words(cluster):
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.end_input(job)
    with pytest.raises(WireError, match="inputDone"):
        await cluster.recorded_jobs.add_inputs(job, ["/jill/stor/x"])
    await cluster.recorded_jobs.end_input(job)  # again is harmless
    await cluster.recorded_jobs.cancel(job)
    for refused in (cluster.recorded_jobs.cancel(job), cluster.recorded_jobs.end_input(job)):
        with pytest.raises(WireError, match="cancelled"):
            await refused


async def test_a_wait_by_post_ends_when_the_owner_moves_the_job(cluster):
    names = await cluster.house.objects(1)
    supervisor = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.owned(job)
    waiting = asyncio.ensure_future(cluster.recorded_jobs.wait_for_change(job, 60))
    async with cluster.agent(supervisor):
        await cluster.recorded_jobs.add_inputs(job, names)
        async with asyncio.timeout(10):
            await waiting


async def test_a_wait_by_post_for_a_job_that_is_done_or_unknown_ends_at_once(cluster):
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.cancel(job)
    async with asyncio.timeout(10):
        await cluster.recorded_jobs.wait_for_change(job, 60)
        await cluster.recorded_jobs.wait_for_change(JobRef(99, "no such job"), 60)


async def test_a_gateway_that_stops_answers_all_waits(cluster):
    job = await cluster.job(MAP)
    waiting = asyncio.ensure_future(cluster.recorded_jobs.wait_for_change(job, 60))
    await cluster.db.read(living)  # it waits by now: reads are answered in turn
    cluster.recorded_jobs.close()
    async with asyncio.timeout(10):
        await waiting
        await cluster.recorded_jobs.wait_for_change(job, 60)


async def test_a_token_of_a_job_is_good_while_it_runs(cluster):
    job = await cluster.job(MAP)
    assert await cluster.recorded_jobs.runs(job.uuid)
    await cluster.recorded_jobs.cancel(job)
    assert not await cluster.recorded_jobs.runs(job.uuid)
    assert not await cluster.recorded_jobs.runs("no such job")


async def test_with_a_supervisor_at_hand_jobs_of_others_go_by_post(cluster):
    names = await cluster.house.objects(2)
    mine, other = await cluster.start(), await cluster.start()
    service = LocalFirstJobService(cluster.recorded_jobs, lambda: mine)
    jobs = []
    for _ in range(2):
        uuid = await service.create_job("jill", parse_job({"phases": [MAP]}))
        jobs.append(JobRef((await cluster.house.row(uuid))["id"], uuid))
    assert [await cluster.owner(job) for job in jobs] == [mine.id] * 2
    theirs = await cluster.job(MAP)
    assert await cluster.owned(theirs) == other.id
    async with cluster.agent(mine), cluster.agent(other):
        for job, name in zip([*jobs, theirs], [*names, names[0]], strict=True):
            assert await service.runs(job.uuid)
            await service.add_inputs(job, [name])
            await service.end_input(job)
            await cluster.done(job)


async def test_with_a_supervisor_that_was_fenced_everything_goes_by_post(cluster):
    mine = await cluster.start()
    service = LocalFirstJobService(cluster.recorded_jobs, lambda: mine)
    job = await cluster.job(MAP)
    await cluster.owned(job)
    await cluster.db.write(lambda c: membership.leave(c, mine.id))
    await service.add_inputs(job, ["/jill/stor/none"])
    await service.end_input(job)
    uuid = await service.create_job("jill", parse_job({"phases": [MAP]}))
    assert (await cluster.house.row(uuid))["supervisor"] is None
    other = await cluster.start()
    assert await cluster.owner(job) == other.id
    await cluster.done(job)
    assert (await cluster.house.row(job.uuid))["errors"] == 1


# What running tasks have printed.


async def test_a_gateway_elsewhere_reads_what_a_running_task_has_printed(cluster):
    names = await cluster.house.objects(1)
    supervisors = [await cluster.start() for _ in range(2)]
    jobs = [await cluster.job(MAP) for _ in range(2)]
    for supervisor in supervisors:
        (job,) = [each for each in jobs if await cluster.owned(each) == supervisor.id]
        await cluster.recorded_jobs.add_inputs(job, names)
        said = f"of {supervisor.id}".encode()
        async with cluster.agent(supervisor, answer=lambda *_: None, prints=said) as agent:
            await leased(agent, 1)
            (lease,) = agent.leases
            request = TaskLogRequest(task=lease.task, attempt=1, stream=LogStream.STDOUT, offset=1)
            page = await cluster.recorded_jobs.read_log(job, agent.id, request)
            assert base64.b64decode(page.data) == said[1:]
    assert await cluster.db.read(lambda c: c.plain("SELECT * FROM log_requests")) == []


async def test_requests_for_logs_that_no_agent_answers_end_and_leave_nothing(cluster, monkeypatch):
    monkeypatch.setattr(running_logs, "ANSWER_SECONDS", 0.2)
    supervisor = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.owned(job)
    request = TaskLogRequest(task=1, attempt=1, stream=LogStream.STDOUT)
    assert await cluster.recorded_jobs.read_log(job, 4711, request) is None
    now = cluster.house.clock()
    await cluster.db.write(
        partial(running_logs.post, number=1, job=0, agent=1, request=request, now=now)
    )  # and is gone
    cluster.house.wait_ms(running_logs.FORGOTTEN_MS + 1)
    await supervisor.forget_expired()
    assert await cluster.db.read(lambda c: c.plain("SELECT * FROM log_requests")) == []
