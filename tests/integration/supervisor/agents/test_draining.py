"""A node whose agent says that it is drained: nothing begins there, what runs may end, and operators see it."""

from __future__ import annotations

from scheduler.model.wire import AgentState
from scheduler.records.database import Connection
from scheduler.supervisor.agents.enrolment import DRAINING, WORKS
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent, ok
from tests.support.services.house import MAP, House


class Drained(InstantAgent):
    """An agent that can be drained; its tasks end when the test says so."""

    draining = False

    def state(self) -> AgentState:
        return super().state().model_copy(update={"draining": self.draining})


async def test_nothing_begins_on_a_node_that_is_drained_and_what_runs_there_ends(house: House) -> None:
    def standing(c: Connection) -> int:
        return int(c.one("find_node", name="here")["departed"])

    first, second = await house.job(MAP), await house.job(MAP)
    [one, other] = await house.objects(2)
    specs = []
    async with house.agent(answer=lambda spec, task: specs.append(spec)) as agent:
        agent.__class__ = Drained
        await house.give(first, [one])
        await eventually(lambda: agent.leases, "the first job's task runs")
        assert await house.db.read(standing) == WORKS
        agent.draining = True
        await agent.hand_in([])
        assert await house.db.read(standing) == DRAINING
        await house.give(second, [other])
        await house.dispatched(second)
        await agent.hand_in([ok(specs[0], agent.leases[0])])
        await house.archived(first)
        assert len(agent.leases) == 1
        async with house.agent(node="there"):
            await house.archived(second)
        assert len(agent.leases) == 1
        agent.draining = False
        await agent.hand_in([])
        assert await house.db.read(standing) == WORKS
