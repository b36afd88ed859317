"""Agents know which nodes are lost, and so which bytes are made again."""

from __future__ import annotations

import asyncio

from scheduler.model.wire import AgentState, PollRequest, RegisterRequest
from scheduler.supervisor.agents import service as agent_service


async def test_agents_are_told_which_nodes_are_lost_until_they_are_back(house, monkeypatch):
    async def join(node: str) -> int:
        request = RegisterRequest(node=node, slots=1, memory_mb=1, provider="none")
        return await house.supervisor.agent_service.register(request)

    async def told(agent: int, seen: int) -> list[str] | None:
        polled = service.poll(PollRequest(agent=agent, state=AgentState(seen=seen)))
        return (await polled).lost

    service = house.supervisor.agent_service
    here, away = await join("here"), await join("away")
    waiting = asyncio.create_task(told(here, 0))
    await asyncio.sleep(0)
    service._presence.session(away).heard -= 3600
    await service.lose_silent()
    assert await asyncio.wait_for(waiting, 60) == ["away"]
    late = await join("late")
    assert await told(late, 0) == ["away"]
    monkeypatch.setattr(agent_service, "POLL_SECONDS", 0.0)
    assert await told(here, 1) is None
    again = await join("away")
    assert (await told(here, 1), await told(late, 1), await told(again, 0)) == ([], [], None)
