"""Each reason for which an attempt is aborted arises, is recorded, and costs its task nothing.

What arises on a node is provoked there (test_abort_reasons_of_nodes.py); here it is reported.
"""

from __future__ import annotations

import asyncio

import pytest

from scheduler.model import errors
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptReport, Outcome, OutputRecord, PollRequest, PoolSpec, RegisterRequest, TaskLease
from scheduler.supervisor.agents import lease_bounds
from scheduler.supervisor.jobs.status import status as job_status
from scheduler.supervisor.tasks import commit
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.operations.reader import LINES, Reader
from tests.support.operations.running import attempts, go_silent, operation, over, put, status
from tests.support.services.house import House

R = AbortReason
# Reasons that agents give.
OF_NODES = (R.FAILED_CHUNKS, R.RESOURCE_OVERDRAFT, R.PREEMPTION, R.WAITING_TIMEOUT, R.OTHER)


async def of_four_tasks(house: House, **more) -> str:
    await put(house, "/jill/stor/in", b"".join(LINES))
    document = {"inputs": ["/jill/stor/in"], "output": {"path": "/jill/stor/out/"}, **more}
    return await operation(house, type="map", spec={"exec": "cat", "task_size": 20}, **document)


async def reasons(house: House, uuid: str) -> list[str]:
    return [row["reason"] for row in await attempts(house, uuid, state="aborted")]


async def progress(house: House, uuid: str) -> dict:
    found = await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))
    return found["progress"]


async def planned(house: House, uuid: str) -> None:
    await eventually(lambda: house.live(uuid).standing.stage is None, "all tasks are planned")


@pytest.mark.parametrize("word", [*OF_NODES, "from_the_future"])
async def test_what_a_node_says_is_recorded_and_what_is_not_known_is_unknown(house, word):
    uuid = await of_four_tasks(house)
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        if task.number or task.attempt > 1:
            return reader(spec, task)
        lost = {"outcome": Outcome.LOST, "code": "InternalError", "message": "internal error", "reason": str(word)}
        return AttemptReport(task=task.task, attempt=task.attempt, **lost)

    await over(house, uuid, answer)
    assert await reasons(house, uuid) == [word if word in list(R) else "unknown"]
    found = await progress(house, uuid)
    assert (found["aborted"], found["failed"], found["unscheduled"]) == (1, 0, 0)


async def test_an_attempt_whose_node_goes_offline_or_whose_user_or_supervisor_ends_it(house):
    uuid = await of_four_tasks(house)
    await planned(house, uuid)
    number = {"stage": 0, "task": 0}
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: agent.leases, "the tasks run")
        await house.supervisor.control(house.live(uuid), ControlRequest(verb=Verb.ABORT_ATTEMPT, attempt=1, **number))
        await eventually(lambda: len(agent.leases) > 4 or agent.cancelled, "the agent was told")
    assert set(await reasons(house, uuid)) <= {R.USER_REQUEST}
    await go_silent(house)
    assert {R.USER_REQUEST, R.NODE_OFFLINE} <= set(await reasons(house, uuid))
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: agent.leases, "they run again")
    await house.supervisor.stop()
    house.db.close()
    house.blobs.close()
    house.open()
    await house.supervisor.start()
    assert R.SCHEDULER in await reasons(house, uuid)
    await over(house, uuid)


async def leased(house: House, node: str = "here", slots: int = 4) -> int:
    """Register an agent that takes one reply with leases and says nothing of having it; its number."""
    request = RegisterRequest(node=node, slots=slots, memory_mb=1 << 20, provider="none")
    service = house.supervisor.agent_service
    agent = await service.register(request)
    poll = PollRequest(agent=agent, state=InstantAgent(house.supervisor).state())
    reply = await service.poll(poll)
    assert [task for pool in reply.pools for task in pool.tasks]
    return agent


@pytest.mark.parametrize("reason", [R.SCHEDULING_TIMEOUT, R.SCHEDULING_OTHER])
async def test_a_lease_that_its_agent_never_took(house, reason):
    uuid = await of_four_tasks(house)
    await planned(house, uuid)
    agent = await leased(house)
    if reason is R.SCHEDULING_OTHER:
        await house.supervisor.agent_service.leave(agent)
    else:
        await go_silent(house)
    found = await reasons(house, uuid)
    assert found
    assert set(found) == {reason}
    counted = await progress(house, uuid)
    assert (counted["unscheduled"], counted["aborted"]) == (len(found), 0)
    await over(house, uuid)


async def test_leases_that_would_be_too_many_at_once(house):
    uuid = await of_four_tasks(house, resource_limits={"tasks": 1})
    await planned(house, uuid)
    service = house.supervisor.agent_service
    state = InstantAgent(house.supervisor).state()
    nodes = [RegisterRequest(node=name, slots=4, memory_mb=1 << 20, provider="none") for name in ("n1", "n2")]
    agents = [await service.register(node) for node in nodes]
    polls = [asyncio.ensure_future(service.poll(PollRequest(agent=agent, state=state))) for agent in agents]
    await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
    await eventually(lambda: reasons(house, uuid), "the other's leases were taken back")
    for poll in polls:
        poll.cancel()
    await asyncio.wait(polls)
    assert set(await reasons(house, uuid)) == {R.SCHEDULING_RESOURCE_OVERCOMMIT}
    running = [row for row in await attempts(house, uuid) if row["ended"] is None]
    assert len(running) == 1
    for session in list(house.supervisor.agent_service.sessions()):
        await house.supervisor.agent_service.leave(session.id)
    await over(house, uuid)


async def test_no_more_tasks_run_at_once_than_the_operation_may_have(house):
    uuid = await of_four_tasks(house, resource_limits={"tasks": 2})
    reader = Reader(house)
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: len(agent.leases) == 2, "two run")
        await planned(house, uuid)
        assert len(agent.leases) == 2
        done = [reader(agent._specs[house.live(uuid).pools[0]], lease) for lease in agent.leases]
        agent.answer = reader
        await agent.hand_in(done)
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"


async def test_leases_that_would_make_a_reply_too_large(house, monkeypatch):
    monkeypatch.setattr(lease_bounds, "MAX_LEASE_BYTES", 1000)
    uuid = await of_four_tasks(house)
    await planned(house, uuid)
    agent = await leased(house)
    found = await reasons(house, uuid)
    assert found
    assert set(found) == {R.SCHEDULING_JOB_SPEC_THROTTLING}
    await house.supervisor.agent_service.leave(agent)
    await over(house, uuid)


async def test_an_operation_that_meets_a_limit_of_its_account_waits_until_there_is_room(house, monkeypatch):
    monkeypatch.setattr(commit, "refusal", full)
    uuid = await of_one_that_names(house, suspend_on_limit=True)
    async with house.agent(answer=naming(house)):
        await eventually(lambda: house.live(uuid).suspended, "the operation is suspended")
        assert await reasons(house, uuid) == [R.ACCOUNT_LIMIT_EXCEEDED]
        monkeypatch.undo()
        await house.supervisor.control(house.live(uuid), ControlRequest(verb=Verb.RESUME))
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"
    assert (await house.row(uuid))["failed"] == 0


async def test_a_limit_is_a_failure_unless_the_operation_is_to_wait(house, monkeypatch):
    monkeypatch.setattr(commit, "refusal", full)
    uuid = await of_one_that_names(house)
    await over(house, uuid, naming(house), expected="failed")
    assert await reasons(house, uuid) == []


def full(owner: str, path: str):
    """What refuses a name in a directory that is full."""
    return errors.directory_limit_exceeded("/jill/stor/full") if path.startswith("/jill/stor/full/") else None


async def of_one_that_names(house: House, **more) -> str:
    new = await house.objects(1)
    return await operation(house, type="map", inputs=new, spec={"exec": "mpipe", "per_object": True}, **more)


def naming(house: House):
    """What an agent reports whose task has named its output itself, in a directory that is full."""

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        output = OutputRecord(name=f"/jill/stor/full/{task.attempt}", blob=house.blob(b"x"), named=True)
        return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.OK, outputs=[output])

    return answer
