"""Polls of agents: which of them is answered, with what, and what becomes of a reply that was lost."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.model.wire import AgentState, PollRequest, RegisterRequest
from scheduler.supervisor.agents.presence import UnknownAgentError
from tests.support.services.house import MAP


async def registered(house) -> int:
    return await house.supervisor.agent_service.register(
        RegisterRequest(node="n", slots=4, memory_mb=9999, provider="none")
    )


async def test_a_disabled_slot_gets_no_instance(house):
    job = await house.job(MAP)
    await house.give(job, await house.objects(20))
    agent = await registered(house)
    state = AgentState(seen=0, disabled=3)
    reply = await house.supervisor.agent_service.poll(PollRequest(agent=agent, state=state))
    assert [grant.instances for grant in reply.pools] == [1]
    assert house.supervisor.agent_service.disabled() == 3


async def test_a_reply_that_was_lost_on_the_way_is_given_again(house):
    names = await house.objects(3)
    job = await house.job(MAP)
    await house.give(job, names)
    agent = await registered(house)
    lost = await house.supervisor.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    again = await house.supervisor.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    assert again == lost
    assert sum(len(grant.tasks) for grant in again.pools) == 3


async def test_a_poll_of_an_agent_that_was_given_up_leases_nothing(house):
    names = await house.objects(3)
    old = await registered(house)
    hanging = asyncio.ensure_future(
        house.supervisor.agent_service.poll(PollRequest(agent=old, state=AgentState(seen=0)))
    )
    await asyncio.sleep(0)
    new = await registered(house)
    with pytest.raises(UnknownAgentError):
        await hanging
    job = await house.job(MAP)
    await house.give(job, names)
    reply = await house.supervisor.agent_service.poll(PollRequest(agent=new, state=AgentState(seen=0)))
    assert sum(len(grant.tasks) for grant in reply.pools) == 3


async def test_an_agent_that_hung_up_and_asks_again_is_the_one_that_is_answered(house):
    names = await house.objects(3)
    agent = await registered(house)
    request = PollRequest(agent=agent, state=AgentState(seen=0))
    hung_up = asyncio.ensure_future(house.supervisor.agent_service.poll(request))
    await asyncio.sleep(0)
    asking = asyncio.ensure_future(house.supervisor.agent_service.poll(request))
    job = await house.job(MAP)
    await house.give(job, names)
    assert sum(len(grant.tasks) for grant in (await asking).pools) == 3
    assert (await hung_up).pools == []


async def test_a_poll_that_was_dropped_takes_no_news_from_the_next_one(house):
    agent = await registered(house)
    request = PollRequest(agent=agent, state=AgentState(seen=0))
    dropped = asyncio.ensure_future(house.supervisor.agent_service.poll(request))
    await asyncio.sleep(0)
    (session,) = house.supervisor.agent_service.sessions()
    async with session.planning:  # where the next one is when news comes
        asking = asyncio.ensure_future(house.supervisor.agent_service.poll(request))
        await asyncio.sleep(0)
        house.supervisor.agent_service.wake()
        for _ in range(5):
            await asyncio.sleep(0)  # the dropped poll is awake
        assert session.wake.is_set()
    assert (await dropped).pools == []
    asking.cancel()
