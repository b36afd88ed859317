"""A shell beside a running task, as its supervisor asks its agent for one, however the instance is isolated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.pools.shells import NOT_NOW
from scheduler.common.ids import new_id
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig

ASK = "curl -s $MANTA_URL/jill/stor/x > /dev/null"  # a request of the task, which the rig sees


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def test_its_program_attaches_to_the_session_that_was_named(agent: Rig) -> None:
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"{ASK}; sleep 1000"), task)
    await agent.until(lambda supervisor: len(supervisor.requests) == 1)
    session = new_id()
    assert await agent.shell(task, session) is None
    await agent.until(lambda supervisor: len(supervisor.requests) == 2)
    method, path, *_ = agent.supervisor.requests[1]
    assert method == "GET" and path.endswith(f"/slave?task={task.task}&session={session}")


async def test_a_task_that_waits_or_has_ended_has_none(agent: Rig) -> None:
    ended, running, waiting = (agent.map_task(b"") for _ in range(3))
    agent.grant(agent.spec("exit 0"), ended)
    await agent.report_of(ended)
    agent.grant(agent.spec(f"{ASK}; sleep 1000", pool=2), running, waiting)
    await agent.until(lambda supervisor: len(supervisor.requests) == 1)
    assert [await agent.shell(task, new_id()) for task in (ended, waiting)] == [NOT_NOW] * 2
