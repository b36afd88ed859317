"""Phases that no node can ever run: their tasks are told so, and everything else goes on."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.model.wire import AgentState, PollRequest, RegisterRequest
from tests.support.services.house import MAP, REDUCE

NO_MEMORY = "failed to dispatch task: not enough memory available"


async def registered(house, node: str = "small", **offer: int) -> int:
    request = RegisterRequest(node=node, slots=4, provider="none", **({"memory_mb": 2048, "disk_gb": 16} | offer))
    return await house.supervisor.agent_service.register(request)


@pytest.mark.parametrize(
    ("tier", "message"),
    [({"memory": 4096}, NO_MEMORY), ({"disk": 32}, "failed to dispatch task: not enough disk space available")],
)
async def test_a_phase_too_large_for_every_node_fails_its_tasks(house, tier, message):
    await registered(house)
    names = await house.objects(1200)
    job = await house.job(MAP | tier)
    await house.give(job, names)
    await house.archived(job)
    errors = await house.errors(job)
    row = await house.row(job)
    assert {(error["code"], error["message"]) for error in errors} == {("TaskInitError", message)}
    assert sorted(error["input"] for error in errors) == sorted(names)
    assert (row["errors"], row["outputs"], row["retries"]) == (1200, 0, 0)


async def test_reducers_that_fit_nowhere_fail_once_they_would_run(house):
    names = await house.objects(3)
    job = await house.job(MAP, REDUCE | {"memory": 8192, "count": 2})
    await house.give(job, names)
    async with house.agent(memory_mb=4096):
        await house.archived(job)
    errors = await house.errors(job)
    assert [(error["what"], error["message"]) for error in errors] == [("phase 1: reduce", NO_MEMORY)] * 2
    await house.no_blob_left()


async def test_a_node_that_is_large_enough_gets_what_another_cannot_run(house):
    small = await registered(house)
    names = await house.objects(3)
    async with house.agent(memory_mb=8192):
        job = await house.job(MAP | {"memory": 4096})
        poll = PollRequest(agent=small, state=AgentState(seen=0))
        asking = asyncio.ensure_future(house.supervisor.agent_service.poll(poll))
        await house.give(job, names)
        await house.archived(job)
    house.supervisor.let_go()
    assert (await asking).pools == []
    assert len(await house.outputs(job)) == 3


async def test_without_any_node_tasks_wait_for_one(house):
    names = await house.objects(3)
    job = await house.job(MAP | {"memory": 8192})
    await house.give(job, names)
    await house.dispatched(job)
    assert (await house.row(job))["state"] == "running"
    async with house.agent(memory_mb=8192):
        await house.archived(job)
    assert len(await house.outputs(job)) == 3


async def test_what_waited_is_told_when_the_only_node_turns_out_too_small(house):
    names = await house.objects(3)
    job = await house.job(MAP | {"memory": 8192})
    await house.give(job, names)
    await house.dispatched(job)
    await registered(house)
    await house.archived(job)
    assert {error["message"] for error in await house.errors(job)} == {NO_MEMORY}
