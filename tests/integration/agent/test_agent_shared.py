"""One agent for two supervisors that share a database: its slots are shared, whoever was first."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.slots.slots import NOTHING, Use
from scheduler.engine import fair_share
from scheduler.gateway.app import Runner
from scheduler.gateway.context import Context
from scheduler.gateway.node_credentials import issue
from scheduler.model.job import parse_job
from scheduler.model.wire import POLL_SECONDS, RegisterRequest
from scheduler.supervisor.agents.targets import capacity
from scheduler.supervisor.supervisor import Supervisor
from tests.support.eventually import eventually
from tests.support.gate import Gate
from tests.support.nodes.node import joined
from tests.support.services.gateway import Gateway, running
from tests.support.services.house import MAP, House

SLOTS = 4


@dataclasses.dataclass
class Shared:
    gateway: Gateway
    supervisors: list[Supervisor]
    urls: dict[Supervisor, str]
    links: dict[str, SupervisorLink]  # of the agent, by the addresses of supervisors

    async def job(
        self, owner: Supervisor, script: str, tasks: int, *, memory_mb: int = 1024, ended: bool = True
    ) -> str:
        job: str = await owner.create_job("jill", parse_job({"phases": [{"exec": script, "memory": memory_mb}]}))
        live = owner.jobs.by_uuid(job)
        await owner.add_inputs(live, ["/jill/stor/in"] * tasks)
        if ended:
            await owner.end_input(live)
        return job

    def instances(self) -> list[int]:
        """How many the agent says that it has for each supervisor."""
        sessions = [next(iter(each.agent_service.sessions()), None) for each in self.supervisors]
        return [sum(pool.instances for pool in session.state.pools) if session else 0 for session in sessions]

    async def until_told(self, supervisor: Supervisor, instances: int) -> None:
        """Wait until the agent knows that it should have so many for a supervisor."""
        link = self.links[self.urls[supervisor]]
        await eventually(lambda: sum(pool.target for pool in link.pools()) == instances, "the agent knows how many")

    async def until(self, *instances: int) -> None:
        await eventually(lambda: self.instances() == list(instances), f"{instances} instances")


async def serve(context: Context) -> tuple[Runner, Supervisor, str]:
    """A supervisor of its own, on a port of its own."""
    made: list[Supervisor] = []
    own = dataclasses.replace(context, supervisor=lambda: made[0])
    runner = Runner(own, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made.append(Supervisor(own.db, own.blobs, own.clock, "{}/{}".format, url, alone=False))
    await made[0].start()
    return runner, made[0], url


@pytest_asyncio.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    async with running(tmp_path) as gateway:
        await gateway.put("/jill/stor/in", b"")
        runners, supervisors, urls = zip(*[await serve(gateway.context) for _ in range(2)], strict=True)
        request = RegisterRequest(node="n1", slots=SLOTS, memory_mb=SLOTS * 1024, provider="process")
        credential = issue(gateway.context.agent_secret, "n1")
        try:
            async with joined(tmp_path / "n1", tmp_path / "blobs", [gateway.url], request, lambda: credential) as links:
                yield Shared(gateway, list(supervisors), dict(zip(supervisors, urls, strict=True)), links)
        finally:
            for supervisor, runner in zip(supervisors, runners, strict=True):
                supervisor.let_go()
                await runner.cleanup()
                await supervisor.stop()


async def test_whoever_comes_later_gets_an_equal_part_and_the_first_gives_it_up(shared: Shared) -> None:
    first, second = shared.supervisors
    with Gate() as early, Gate() as late:
        await shared.job(first, early.wait("early"), 12)
        await shared.until(SLOTS - 1, 0)  # one is kept for newcomers
        await asyncio.to_thread(early.arrivals, SLOTS - 1)
        await shared.job(second, late.wait("late"), 2)
        assert await asyncio.to_thread(late.arrivals, 2) == ["late", "late"]  # it waits for nobody's task
        await shared.until_told(first, 2)
        early.open()
        await shared.until(2, 2)
        await asyncio.to_thread(early.arrivals, 2)
        late.open()
        await shared.until(SLOTS - 1, 0)


async def test_where_others_have_the_memory_the_largest_tier_still_gets_an_instance(shared: Shared) -> None:
    first, second = shared.supervisors
    with Gate() as gate:
        await shared.job(first, gate.wait("small"), 12)
        await shared.until(SLOTS - 1, 0)
        (session,) = second.agent_service.sessions()
        await eventually(lambda: session.away_mb, "the agent says what others have")
        assert (session.away, session.away_mb) == (2, 2048)
        large = fair_share.PoolShare(1, demand=1, instances=0, memory_mb=SLOTS * 1024)
        assert capacity(session, [], SLOTS) == fair_share.Capacity(2, 2048)
        assert capacity(session, [large], SLOTS) == fair_share.Capacity(2, SLOTS * 1024)


@pytest.mark.parametrize(
    ("idle", "ending", "memory_mb"),
    [(3, 3, 16), (0, 1, 3072)],
    ids=["what ends has its slot", "what ends has its memory"],
)
async def test_a_task_begins_once_what_it_waits_for_has_ended(
    shared: Shared, idle: int, ending: int, memory_mb: int
) -> None:
    supervisor = shared.supervisors[0]
    (session,) = await eventually(supervisor.agent_service.sessions, "the agent is registered")
    link = shared.links[shared.urls[supervisor]]
    slots, other = link.node.slots, object()
    for _ in range(idle):
        await shared.job(supervisor, "true", 1, ended=False)
    await shared.until(idle, 0)
    await eventually(lambda: not any(pool.busy for pool in link.pools()), "its instances are idle")
    slots.expect(ending, memory_mb)
    for use in (Use(1, 1), NOTHING):
        slots.use(other, use)  # of which the supervisors are told, and so of what ends
    await eventually(lambda: session.ending == ending and not session.away, "the supervisor knows what ends")
    job = await shared.job(supervisor, "true", 1, memory_mb=2048)
    live = supervisor.jobs.by_uuid(job)
    await eventually(lambda: supervisor.jobs.ready[live.pools[0]], "its task is ready")
    slots.forget(ending, memory_mb)
    await eventually(lambda: live.done, "its task has run", POLL_SECONDS / 2)


async def test_the_first_tasks_of_a_job_are_spread_over_all_nodes(house: House) -> None:
    job = await house.job(MAP)
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(house.agent(answer=lambda spec, task: None, node=node, slots=2))
            for node in ("n1", "n2")
        ]
        await house.give(job, await house.objects(4))
        await eventually(lambda: sum(len(node.leases) for node in nodes) == 4, "all tasks are leased")
        assert [len(node.leases) for node in nodes] == [2, 2]
