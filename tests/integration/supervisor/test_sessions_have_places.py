"""Sessions of users begin while tasks take all slots."""

from __future__ import annotations

import asyncio

from scheduler.model.naming import SESSION_EXEC
from scheduler.model.wire import AttemptReport, PoolSpec, TaskLease
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent

SESSION = {"exec": SESSION_EXEC, "type": "reduce"}
MAP = {"exec": "sleep 3600"}
SLOTS = 4


async def test_sessions_of_a_busy_account_take_no_slot(house) -> None:
    begun: list[str] = []

    def go_on_for_ever(spec: PoolSpec, task: TaskLease) -> AttemptReport | None:
        begun.append(spec.exec)
        return None

    agent = InstantAgent(house.supervisor, go_on_for_ever, slots=SLOTS)
    running = asyncio.ensure_future(agent.run())
    try:
        await house.give(await house.job(MAP), await house.objects(100))
        await eventually(lambda: agent.instances() == SLOTS - 1, "all slots but the reserve are taken")
        for _ in range(2):
            await house.give(await house.job(SESSION), [])
        await eventually(lambda: begun.count(SESSION["exec"]) == 2, "both sessions begin")
        assert agent.instances() == SLOTS - 1 + 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
