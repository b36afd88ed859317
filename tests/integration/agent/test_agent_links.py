"""One agent and two supervisors: what they share, and what becomes of one's tasks when the other is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from scheduler.agent.blobs.stores import Stores
from scheduler.agent.links import lease
from scheduler.model import wire
from scheduler.objects.blobs import BlobStore
from tests.support.nodes.agent_rig import KNOCK, Rig
from tests.support.nodes.agent_rig import rig as lone
from tests.support.nodes.fake_supervisor import SECRET, FakeSupervisor
from tests.support.nodes.node import joined

SLOTS = 4
# A task that says that it runs, and goes on until it is ended.
LASTING = f"{KNOCK}; sleep 1000"


@dataclass
class Two:
    """Supervisors 1 and 2, each with a rig to give work by; `stop` takes one off the network."""

    first: Rig
    second: Rig
    runners: dict[int, web.AppRunner]

    async def vanish(self, number: int) -> None:
        """Killed; the records know."""
        await self.runners.pop(number).cleanup()
        gone = {1: self.first, 2: self.second}[number]
        for rig in (self.first, self.second):
            rig.supervisor.known = [each for each in rig.supervisor.known if each.url != gone.url]


@pytest_asyncio.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Supervisors that live, and an agent that knows the first one's address."""
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    blobs = BlobStore(state_dir / "blobs")
    rigs, runners = [], {}
    for number in (1, 2):
        supervisor = FakeSupervisor()
        runner = runners[number] = web.AppRunner(supervisor.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        rigs.append(Rig(state_dir, supervisor, blobs, url, "subreaper"))
    living = [wire.Supervisor(id=number, url=rig.url) for number, rig in enumerate(rigs, 1)]
    for rig in rigs:
        rig.supervisor.known = list(living)
    rigs[1].begin(100)
    request = wire.RegisterRequest(node="here", slots=SLOTS, memory_mb=SLOTS * 1024, provider="process")
    try:
        async with joined(state_dir, state_dir / "blobs", [rig.url for rig in rigs], request, lambda: SECRET):
            yield Two(*rigs, runners)
    finally:
        for runner in runners.values():
            await runner.cleanup()
        blobs.close()


async def until(rig: Rig, condition: Callable[[wire.AgentState], bool]) -> None:
    """Wait for a state that the agent tells this supervisor."""
    await rig.until(lambda supervisor: condition(supervisor.states[-1]))


async def occupy(rig: Rig, instances: int, memory_mb: int = 1024) -> wire.PoolSpec:
    """Have so many instances busy for this supervisor."""
    spec = rig.spec(LASTING, memory_mb=memory_mb)
    rig.grant(spec, *(rig.map_task(b"x") for _ in range(instances)), instances=instances)
    await until(rig, lambda state: any(pool.instances == instances for pool in state.pools))
    return spec


async def test_an_agent_works_for_all_supervisors(two: Two) -> None:
    for rig in (two.first, two.second):
        report = await rig.run("cat", b"data")
        assert rig.output(report) == b"data"
    assert (two.first.supervisor.registrations, two.second.supervisor.registrations) == (1, 1)


async def test_each_is_told_what_serves_the_other(two: Two) -> None:
    await occupy(two.first, 3)
    await until(two.second, lambda state: (state.away, state.away_mb) == (2, 2048))  # half of it is its own
    second = await occupy(two.second, 1)
    await until(two.first, lambda state: (state.away, state.away_mb) == (1, 1024))
    two.second.release(second)
    await until(two.first, lambda state: (state.away, state.away_mb) == (0, 0))


async def test_a_pool_that_has_nothing_to_do_takes_nothing_from_others(two: Two) -> None:
    task = two.first.map_task(b"x")
    spec = two.first.spec("true")
    two.first.grant(spec, task, instances=3)
    await two.first.report_of(task)
    await until(two.first, lambda state: any(pool.instances == 3 for pool in state.pools))
    await occupy(two.second, 2)
    await until(two.first, lambda state: state.away == 2)
    assert two.second.supervisor.states[-1].away == 0


async def test_when_a_supervisor_vanishes_its_tasks_end_and_the_other_s_go_on(two: Two) -> None:
    await occupy(two.second, 2)
    await until(two.first, lambda state: state.away == 2)
    going_on = two.first.map_task(b"still here")
    two.first.grant(two.first.spec(f"{KNOCK}; cat"), going_on)
    await two.vanish(2)
    report = await two.first.report_of(going_on)
    assert two.first.output(report) == b"still here"
    await until(two.first, lambda state: state.away == 0)
    assert two.first.supervisor.registrations == 1


async def test_a_supervisor_that_answers_nobody_is_given_up_after_the_lease(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LEASE_SECONDS", 1.0), ("MARGIN", 0.2), ("BEAT_SECONDS", 0.2), ("PAUSE", 0.1)):
        monkeypatch.setattr(lease, name, seconds)
    await occupy(two.second, 2)
    await until(two.first, lambda state: state.away == 2)
    two.second.supervisor.hangs = True
    await until(two.first, lambda state: state.away == 0)
    two.second.supervisor.hangs = False
    await two.second.until(lambda supervisor: supervisor.registrations == 2)
    assert two.first.supervisor.registrations == 1


async def test_what_tasks_ask_goes_to_a_gateway_that_can_be_reached(two: Two) -> None:
    two.second.supervisor.objects["/jill/stor/x"] = b"object"
    await two.vanish(1)
    script = KNOCK.replace("/jill/stor/here", "/jill/stor/x").replace("cat <&9 > /dev/null", "cat <&9")
    report = await two.second.run(script)
    assert two.second.output(report).endswith(b"object")


async def test_a_body_goes_to_one_gateway_only(two: Two) -> None:
    """A gateway that breaks off has perhaps acted on the request: nobody else is asked."""
    two.first.supervisor.held = asyncio.Event()
    put = (
        "port=${MANTA_URL##*:}; exec 9<> /dev/tcp/127.0.0.1/${port%/}; "
        "printf 'PUT /jill/stor/once HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 4\\r\\n' >&9; "
        "printf 'Connection: close\\r\\n\\r\\nbody' >&9; "
        "cat <&9; exec 9>&-"
    )
    task = two.second.map_task(b"")
    two.second.grant(two.second.spec(put), task)
    await two.first.until(lambda supervisor: any(request[0] == "PUT" for request in supervisor.requests))
    await two.vanish(1)
    report = await two.second.report_of(task)
    assert b"503" in two.second.output(report)
    assert not any(request[0] == "PUT" for request in two.second.supervisor.requests)


async def test_where_there_are_other_nodes_nothing_waits_behind_long_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Stores.one

    def among_others(blobs: BlobStore) -> Stores:
        stores = one(blobs)
        stores.node = "here"
        return stores

    monkeypatch.setattr(Stores, "one", staticmethod(among_others))
    async with lone(tmp_path / "state", "subreaper") as agent:
        running, waiting = agent.map_task(b"x"), agent.map_task(b"x")
        agent.grant(agent.spec(LASTING), running, waiting)
        report = await agent.report_of(waiting)
        assert (report.outcome, report.evicted) == (wire.Outcome.LOST, True)
        assert [pool.room for pool in agent.supervisor.states[-1].pools] == [0]
        assert (running.task, running.attempt) not in agent.supervisor.reports
