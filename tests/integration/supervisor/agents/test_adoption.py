"""What becomes of attempts that another start of a supervisor has leased: adopted, lost or cancelled."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.engine.membership import TTL
from scheduler.model.wire import LEASE_SECONDS, AgentState, AttemptId, PollRequest, RegisterRequest, ReportRequest
from scheduler.records.database import select
from scheduler.supervisor.jobs.intake import JobRef
from scheduler.supervisor.supervisor import Supervisor
from tests.integration.supervisor.conftest import Cluster, until_leased
from tests.integration.supervisor.test_supervisors import SPEC
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent, ok
from tests.support.services.house import MAP


async def started_again(cluster: Cluster) -> tuple[JobRef, InstantAgent, Supervisor]:
    """A job with three tasks leased, the agent that has them, and the next start of the supervisor, without the job."""
    names = await cluster.house.objects(3)
    first = await cluster.start()
    job = await cluster.job(MAP)
    await cluster.recorded_jobs.add_inputs(job, names)
    await cluster.recorded_jobs.end_input(job)
    await cluster.owned(job)
    async with cluster.agent(first, answer=lambda *_: None) as agent:
        await until_leased(agent, 3)
        await first.stop(leave=False)
    return job, agent, await cluster.start()


async def taken_up(cluster: Cluster, job: JobRef, supervisor: Supervisor) -> None:
    await cluster.pass_time(TTL + 3000, supervisor)
    await eventually(lambda: supervisor.jobs.by_id(job.id) is not None, "the job is taken up")


async def register(supervisor: Supervisor, *held: AttemptId, pools: tuple[int, ...] = (), node: str = "here") -> int:
    request = RegisterRequest(node=node, slots=4, memory_mb=4096, provider="none", held=list(held), pools=list(pools))
    return await supervisor.agent_service.register(request)


def id_of(lease) -> AttemptId:
    return AttemptId(task=lease.task, attempt=lease.attempt)


async def leased(cluster: Cluster, supervisor: Supervisor, job: JobRef) -> list[tuple[int, int, int]]:
    """Task, attempt and agent of all that is leased of a job."""
    (pool,) = supervisor.jobs.by_id(job.id).pools
    rows = await cluster.db.read(select("leased_of_pool", pool=pool, limit=100))
    return [(row["id"], row["attempt"], row["agent"]) for row in rows]


async def cancelled(supervisor: Supervisor, agent: int) -> list[AttemptId]:
    reply = await supervisor.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    return sorted(reply.cancel, key=lambda each: each.task)


@pytest.mark.parametrize("job_first", [True, False], ids=["the job comes first", "the agent comes first"])
async def test_what_an_agent_has_goes_on_and_the_rest_is_ready(cluster, job_first):
    job, old, second = await started_again(cluster)
    if job_first:
        await taken_up(cluster, job, second)
    held = [id_of(lease) for lease in old.leases[:2]]
    agent = await register(second, *held)
    if not job_first:
        await taken_up(cluster, job, second)

    def is_decided() -> bool:
        return second.jobs.ready[second.jobs.by_id(job.id).pools[0]] == 1

    await eventually(is_decided, "the third task is ready")
    assert await leased(cluster, second, job) == [(each.task, each.attempt, agent) for each in held]


async def test_a_report_waits_until_its_job_is_taken_up_and_counts_then(cluster):
    job, old, second = await started_again(cluster)
    agent = await register(second, *map(id_of, old.leases))
    request = ReportRequest(agent=agent, state=AgentState(seen=0), attempts=[ok(SPEC, each) for each in old.leases])
    reporting = asyncio.ensure_future(second.agent_service.report(request))
    await asyncio.sleep(0.05)
    assert not reporting.done()
    await cluster.pass_time(TTL + 3000, second)  # the job is taken up, and may be over as soon as that
    assert (await reporting).discard == []
    await cluster.done(job)
    row = await cluster.house.row(job.uuid)
    assert (row["outputs"], row["errors"], row["retries"]) == (3, 0, 0)


async def test_a_node_that_does_not_come_has_lost_its_attempts_once_its_lease_is_over(cluster):
    job, _, second = await started_again(cluster)
    await taken_up(cluster, job, second)
    await second.agent_service.lose_silent()
    assert len(await leased(cluster, second, job)) == 3
    cluster.ahead += LEASE_SECONDS + 1
    await second.agent_service.lose_silent()
    async with cluster.agent(second, node="other"):
        await cluster.done(job)
    row = await cluster.house.row(job.uuid)
    assert (row["outputs"], row["retries"]) == (3, 0)


async def test_what_is_not_leased_to_it_is_cancelled_at_an_agent(cluster):
    job, old, second = await started_again(cluster)
    await taken_up(cluster, job, second)
    stale = AttemptId(task=old.leases[0].task, attempt=old.leases[0].attempt + 5)
    agent = await register(second, stale, *map(id_of, old.leases[1:]))
    assert await cancelled(second, agent) == [stale]
    assert (
        await leased(cluster, second, job)
        == [
            (old.leases[0].task, 2, agent),  # a new attempt, which the reply to its poll has granted
            *((lease.task, 1, agent) for lease in old.leases[1:]),
        ]
    )


async def test_what_belongs_to_no_job_of_the_supervisor_is_cancelled_after_a_while_and_its_pool_released(cluster):
    second = await cluster.start()
    unknown = AttemptId(task=77, attempt=1)
    agent = await register(second, unknown, pools=(5,))
    assert second.agent_service.may_run_on("here")
    cluster.ahead += LEASE_SECONDS + 1
    second.agent_service.beat(agent)
    await second.agent_service.lose_silent()
    reply = await second.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    assert (reply.cancel, reply.release) == ([unknown], [5])


async def test_another_node_s_attempts_are_not_given_to_who_says_it_has_them(cluster):
    job, old, second = await started_again(cluster)
    await taken_up(cluster, job, second)
    thief = await register(second, *map(id_of, old.leases), node="other")
    assert await cancelled(second, thief) == sorted(map(id_of, old.leases), key=lambda each: each.task)
    assert {agent for _, _, agent in await leased(cluster, second, job)} == {old.id}
