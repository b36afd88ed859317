"""A service that was away itself (stopped, paused, suspended) blames no task and no agent for it."""

from __future__ import annotations

import time

import pytest

from scheduler.model.wire import LEASE_SECONDS
from scheduler.supervisor.agents.presence import UnknownAgentError
from tests.integration.supervisor.test_supervisor_infeasible import registered
from tests.support.eventually import eventually
from tests.support.services.house import MAP, House


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self, house: House) -> None:
        self.now = time.monotonic()
        house.monotonic = lambda: self.now


@pytest.fixture
def clock(house: House) -> Clock:
    return Clock(house)


async def retries_after(house: House, clock: Clock, absences: int) -> int:
    """A job whose only task runs while the supervisor is away so often and the agent begins anew each time."""
    job = await house.job(MAP)
    async with house.agent(answer=lambda spec, task: None) as silent:
        await house.give(job, await house.objects(1))
        await eventually(lambda: silent.leases, "the task is leased")
    for _ in range(absences):
        clock.now += 52.0
        await registered(house, node="here")  # it was not answered for so long that it gave up
    async with house.agent():
        await house.archived(job)
    assert not await house.errors(job)
    return int((await house.row(job))["retries"])


async def test_an_agent_that_begins_anew_after_our_absence_costs_no_retry(house: House, clock: Clock) -> None:
    await house.supervisor.agent_service.lose_silent()
    assert await retries_after(house, clock, 4) == 0


async def test_an_agent_lives_through_our_absence(house: House, clock: Clock) -> None:
    agent = await registered(house)
    agent_service = house.supervisor.agent_service
    await agent_service.lose_silent()
    clock.now += 52.0
    await agent_service.lose_silent()
    agent_service.beat(agent)


async def test_an_agent_that_is_silent_while_we_look_is_lost(house: House, clock: Clock) -> None:
    agent = await registered(house)
    agent_service = house.supervisor.agent_service
    for _ in range(int(LEASE_SECONDS) + 2):
        await agent_service.lose_silent()
        clock.now += 1.0
    with pytest.raises(UnknownAgentError):
        agent_service.beat(agent)
