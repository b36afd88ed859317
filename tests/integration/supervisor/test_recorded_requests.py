"""Requests about jobs that another process owns: a gateway records them, and the owner takes them up."""

from __future__ import annotations

import asyncio
import base64
from functools import partial

import pytest

from scheduler.model.errors import WireError
from scheduler.model.job import parse_job
from scheduler.model.wire import LogStream, TaskLogRequest
from scheduler.supervisor import membership
from scheduler.supervisor.agents import running_requests
from scheduler.supervisor.control.cancelling import cancel_named
from scheduler.supervisor.job_services import LocalFirstJobService
from scheduler.supervisor.jobs.intake import JobRef
from tests.integration.supervisor.conftest import living, until_leased
from tests.support.eventually import eventually
from tests.support.services.house import MAP, REDUCE

# What comes by post.


async def test_inputs_and_their_end_by_post_reach_the_owner(cluster):
    names = await cluster.house.objects(3)
    supervisor = await cluster.start()
    job = await cluster.job(MAP, REDUCE)
    await cluster.owned(job)
    async with cluster.agent(supervisor) as agent:
        await cluster.recorded_jobs.add_inputs(job, names[:2])
        await until_leased(agent, 2)
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
        await until_leased(agent, 2)
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


async def test_a_job_is_over_once_that_is_recorded(cluster):
    """Also if its supervisor does not know yet: the tokens of its tasks open nothing any more."""
    mine = await cluster.start()
    service = LocalFirstJobService(cluster.recorded_jobs, lambda: mine)
    uuid = await service.create_job("jill", parse_job({"phases": [MAP]}))
    job = JobRef((await cluster.house.row(uuid))["id"], uuid)
    assert await service.runs(uuid)
    mine._stop_listening()
    await cluster.db.write(lambda c: cancel_named(c, job, 0))
    assert not mine.jobs.by_uuid(uuid).done
    assert not await service.runs(uuid)


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
            await until_leased(agent, 1)
            (lease,) = agent.leases
            request = TaskLogRequest(task=lease.task, attempt=1, stream=LogStream.STDOUT, offset=1)
            page = await cluster.recorded_jobs.ask_agent(job, agent.id, request)
            assert base64.b64decode(page.data) == said[1:]
    assert await cluster.db.read(lambda c: c.plain("SELECT * FROM running_requests")) == []


async def test_requests_for_logs_that_no_agent_answers_end_and_leave_nothing(cluster, monkeypatch):
    monkeypatch.setattr(running_requests, "ANSWER_SECONDS", 0.2)
    supervisor = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.owned(job)
    request = TaskLogRequest(task=1, attempt=1, stream=LogStream.STDOUT)
    assert await cluster.recorded_jobs.ask_agent(job, 4711, request) is None
    now = cluster.house.clock()
    await cluster.db.write(
        partial(running_requests.post, number=1, job=0, agent=1, request=request, now=now)
    )  # and is gone
    cluster.house.wait_ms(running_requests.FORGOTTEN_MS + 1)
    await supervisor.forget_expired()
    assert await cluster.db.read(lambda c: c.plain("SELECT * FROM running_requests")) == []
