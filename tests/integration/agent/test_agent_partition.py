"""An agent that is cut off from its supervisor, for a moment or for too long, or leaves it. All clocks run fast."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from scheduler.agent import client
from scheduler.agent.links import lease as contact
from scheduler.gateway.node_credentials import issue
from scheduler.model import wire
from scheduler.model.job import parse_job
from scheduler.records.database import Row, select
from scheduler.supervisor.agents import presence
from tests.support.eventually import eventually
from tests.support.gate import Gate
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.nodes.node import joined
from tests.support.proxy import Proxy
from tests.support.services.gateway import Gateway, running_jobs

LEASE = 2.0
FAST = {
    contact: {"MARGIN": 0.4, "BEAT_SECONDS": 0.2, "PAUSE": 0.1},
    client: {"BRIEF_SECONDS": 0.3, "REGISTER_SECONDS": 0.5, "LONGEST_WAIT": 0.2},
}


@dataclass
class Cut:
    """A gateway with a supervisor, and an agent on node `far`, with a wire between them."""

    gateway: Gateway
    wire: Proxy
    instances: Path

    async def job(self, script: str) -> str:
        """A job with one task."""
        supervisor = self.gateway.supervisor
        await self.gateway.put("/jill/stor/in", b"")
        job: str = await supervisor.create_job("jill", parse_job({"phases": [{"exec": script}]}))
        live = supervisor.jobs.by_uuid(job)
        await supervisor.add_inputs(live, ["/jill/stor/in"])
        await supervisor.end_input(live)
        return job

    async def row(self, job: str) -> Row:
        return (await self.gateway.context.db.read(select("job_by_uuid", uuid=job)))[0]

    async def over(self, job: str) -> list[str]:
        """Wait until a job is done; its outputs."""

        async def done() -> Row | None:
            row = await self.row(job)
            return row if row["state"] == "done" else None

        row = await eventually(done, f"job {job} is done")
        assert row is not None
        outputs = await self.gateway.context.db.read(select("list_outputs", job=row["id"], after=0, limit=9))
        return [output["name"] for output in outputs]

    async def registrations(self) -> int:
        rows = await self.gateway.context.db.read(lambda c: c.plain("SELECT count(*) AS n FROM agents"))
        return int(next(iter(rows))[0])

    async def until_registered(self, times: int) -> None:
        """Wait until there were so many registrations in all."""

        async def registered() -> bool:
            return await self.registrations() >= times

        await eventually(registered, f"registration {times}")

    async def until_idle(self) -> None:
        """Wait until the node has no instance any more."""
        await eventually(lambda: not os.listdir(self.instances), "the node has no instance")


@pytest_asyncio.fixture
async def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[Cut]:
    """With a parameter the lease is so long."""
    for module in (contact, presence):
        monkeypatch.setattr(module, "LEASE_SECONDS", getattr(request, "param", LEASE))
    for module, constants in FAST.items():
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)
    async with running_jobs(tmp_path) as gateway, Proxy(httpx.URL(gateway.url).port or 0) as between:
        asked = wire.RegisterRequest(node="far", slots=1, memory_mb=2048, provider="process")
        state = tmp_path / "node"

        def credential() -> str:
            return issue(gateway.context.agent_secret, "far")

        async with joined(state, tmp_path / "blobs", [between.url], asked, credential):
            try:
                yield Cut(gateway, between, state / "instances")
            finally:
                between.mend()
                gateway.supervisor.let_go()


@contextlib.asynccontextmanager
async def another_node(cut: Cut) -> AsyncIterator[InstantAgent]:
    agent = InstantAgent(cut.gateway.supervisor, node="near")

    async def beat() -> None:
        """Its polls wait for longer than a lease is here."""
        await agent.registered.wait()
        while True:
            cut.gateway.supervisor.agent_service.beat(agent.id)
            await asyncio.sleep(FAST[contact]["BEAT_SECONDS"])

    running = [asyncio.create_task(agent.run()), asyncio.create_task(beat())]
    try:
        yield agent
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("cut", [60.0], indirect=True, ids=["long lease"])
async def test_a_short_cut_loses_nothing(cut: Cut) -> None:
    with Gate() as gate:
        job = await cut.job(f"{gate.wait('runs')}; echo once")
        assert await asyncio.to_thread(gate.arrivals, 1) == ["runs"]
        cut.wire.cut()
        gate.open()  # the task ends while nobody can be told
        await eventually(lambda: cut.wire.held >= 4, "the node tries again and again")
        cut.wire.mend()
        outputs = await cut.over(job)
    assert len(outputs) == 1
    assert ((await cut.row(job))["retries"], await cut.registrations()) == (0, 1)


async def test_after_a_long_cut_the_node_has_stopped_and_others_have_done_its_work(cut: Cut) -> None:
    with Gate() as gate:
        job = await cut.job(f"{gate.wait('runs')}; echo from afar; sleep 1000")
        await asyncio.to_thread(gate.arrivals, 1)
        cut.wire.cut()
        gate.open()
        await cut.until_idle()  # by its own clock: it hears of nobody
        async with another_node(cut) as near:
            outputs = await cut.over(job)
            assert [lease.attempt for lease in near.leases] == [2]
            cut.wire.mend()
            await cut.until_registered(3)
    assert len(outputs) == 1
    job = await cut.job("cat")  # and the node works again
    assert len(await cut.over(job)) == 1


async def test_what_a_node_did_while_it_was_cut_off_too_long_counts_no_more(cut: Cut) -> None:
    with Gate() as gate:
        job = await cut.job(f"{gate.wait('runs')}; echo from afar")
        await asyncio.to_thread(gate.arrivals, 1)
        cut.wire.cut()
        async with another_node(cut):
            outputs = await cut.over(job)  # the lease is over, and the task ran near
            gate.open()
            cut.wire.mend()
            again = await cut.job("cat")
            assert len(await cut.over(again)) == 1
            assert await cut.over(job) == outputs
    assert len(outputs) == 1


async def test_an_agent_that_is_told_to_end_leaves_its_tasks_to_others_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LEASE_SECONDS", 3600.0)
    request = wire.RegisterRequest(node="far", slots=4, memory_mb=8192, provider="process")
    async with running_jobs(tmp_path) as gateway:
        here = Cut(gateway, Proxy(0), tmp_path)

        def credential() -> str:
            return issue(gateway.context.agent_secret, "far")

        with Gate() as gate:
            job = await here.job(f"{gate.wait('runs')}; echo never")
            async with joined(tmp_path / "node", tmp_path / "blobs", [gateway.url], request, credential):
                assert await asyncio.to_thread(gate.arrivals, 1) == ["runs"]
            async with another_node(here):
                assert len(await here.over(job)) == 1
        assert (await here.row(job))["retries"] == 0
        gateway.supervisor.let_go()
