"""Several supervisors on one database: who owns a job, and what becomes of it when its owner is gone."""

from __future__ import annotations

import pytest

from scheduler.engine.membership import TTL
from scheduler.model.job import parse_job
from scheduler.model.wire import AgentState, PollRequest, PoolSpec, RegisterRequest, ReportRequest
from scheduler.records.database import Connection, select
from scheduler.records.fences import Fenced
from scheduler.supervisor import membership
from scheduler.supervisor.agents.presence import UnknownAgentError
from scheduler.supervisor.jobs.intake import IDLE_INPUT_MS, JobRef
from scheduler.supervisor.jobs.retention import LINGER_MS
from scheduler.supervisor.runner import SupervisorRunner
from scheduler.supervisor.supervisor import Supervisor
from tests.integration.supervisor.conftest import Cluster, living, until_leased
from tests.support.eventually import eventually
from tests.support.ids import id_of
from tests.support.nodes.instant_agent import ok
from tests.support.services.house import MAP, REDUCE

SPEC = PoolSpec(
    pool=1, job=id_of("late"), login="jill", phase=0, blocking=False, exec="true", memory_mb=1, disk_gb=1, last=True,
    next_reducers=0, token="",
)  # fmt: skip


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
        await until_leased(silent, 4)
    await cluster.pass_time(TTL, first, second)  # both are well
    await first.stop(leave=False)
    await cluster.pass_time(TTL + 1000, second)
    assert await cluster.owned(job) == second.id
    async with cluster.agent(second, node="old"), cluster.agent(second, node="new"):
        await cluster.done(job)
    row = await cluster.house.row(job.uuid)
    assert (row["outputs"], row["errors"], row["retries"]) == (1, 0, 0)


async def test_what_a_lost_supervisor_still_tries_changes_nothing(cluster):
    names = await cluster.house.objects(2)
    first, second = await cluster.start(), await cluster.start()
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.add_inputs(job, names)
    await cluster.owned(job)
    async with cluster.agent(first, answer=lambda *_: None) as agent:
        await until_leased(agent, 2)
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
