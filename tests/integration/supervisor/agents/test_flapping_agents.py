"""Agents that come and go, or fight for a name: the supervisor stays calm, and no job suffers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest

from scheduler.model.errors import WireError
from scheduler.model.wire import RegisterRequest
from tests.support.eventually import eventually
from tests.support.services.house import MAP, House

ROUNDS = 25  # more than a task has attempts before its losses count


@pytest.fixture
def commits(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of transactions so far."""
    groups: list[int] = []
    commit = house.db._commit
    monkeypatch.setattr(house.db, "_commit", lambda group: groups.append(len(group)) or commit(group))
    return lambda: sum(groups)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], int]]:
    """The number of lines in the supervisor's log so far."""
    with caplog.at_level(logging.INFO, "remora"):
        yield lambda: len(caplog.records)


async def test_an_agent_that_registers_and_leaves_again_and_again_costs_no_task_a_retry(
    house: House, commits: Callable[[], int], logged: Callable[[], int]
) -> None:
    job = await house.job(MAP)
    await house.give(job, await house.objects(5))
    works, lines = commits(), logged()
    for _ in range(ROUNDS):
        async with house.agent(answer=lambda spec, task: None) as agent:
            await eventually(lambda agent=agent: agent.leases, "it has tasks")
        await house.supervisor.agent_service.leave(agent.id)
    assert commits() - works <= 10 * ROUNDS
    assert logged() - lines <= 2 * ROUNDS
    assert house.supervisor.agent_service.sessions() == []
    async with house.agent():
        await house.archived(job)
    row = await house.row(job)
    assert (row["outputs"], row["errors"], row["retries"]) == (5, 0, 0)


async def test_nothing_is_done_for_an_agent_that_has_left(house: House, commits: Callable[[], int]) -> None:
    job = await house.job(MAP)
    await house.give(job, await house.objects(1))
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: agent.leases, "it has the task")
    await house.supervisor.agent_service.leave(agent.id)
    works = commits()
    for _ in range(100):
        await asyncio.sleep(0)
    await house.db.read(lambda c: None)
    assert commits() == works


async def test_a_second_agent_that_insists_on_a_nodes_name_disturbs_nothing(
    house: House, commits: Callable[[], int], logged: Callable[[], int]
) -> None:
    service = house.supervisor.agent_service

    def request(store: str) -> RegisterRequest:
        return RegisterRequest(node="n1", slots=1, memory_mb=1024, provider="none", serves="http://n1:1", tickets=store)

    first = await service.register(request("a"))
    works, lines = commits(), logged()
    for _ in range(ROUNDS):
        with pytest.raises(WireError, match="two agents have this name"):
            await service.register(request("b"))
    assert [session.id for session in service.sessions()] == [first]
    assert commits() - works <= ROUNDS
    assert logged() == lines
