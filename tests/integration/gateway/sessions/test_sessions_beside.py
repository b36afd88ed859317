"""Sessions beside running tasks at the gateway: what its agent is asked, whom it lets in, and why none begins."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import WSMsgType

from scheduler.gateway.sessions.session import Sessions, Timings
from scheduler.model.wire import RunningAnswer, TaskShellRequest
from tests.integration.gateway.sessions.test_sessions import LINKUP, after_waiting, attached, refused
from tests.integration.gateway.sessions.test_sessions_elsewhere import two_gateways
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.gateway import Gateway, running_jobs


class Begun:
    """An answer of agents whose tasks go on; `leased` is set when the first has begun."""

    def __init__(self) -> None:
        self.leased = asyncio.Event()

    def __call__(self, *_: object) -> None:
        self.leased.set()


class ShellAgent(InstantAgent):
    """An agent that is asked for shells, and answers as told: with a reason, or not at all."""

    refusal: str | None = None
    is_silent = False

    def start_shell(self, request: TaskShellRequest) -> None:
        if not self.is_silent:
            answer = RunningAnswer(number=request.number, refused=self.refusal)
            self.supervisor.agent_service.running.answer(self.id, answer)


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_jobs(tmp_path, sessions=Sessions(Timings(wait=0.01, look_at_task=0.02))) as started:
        yield started


@contextlib.asynccontextmanager
async def agent_of(gateway: Gateway) -> AsyncIterator[ShellAgent]:
    agent = ShellAgent(gateway.supervisor, answer=Begun())
    working = asyncio.ensure_future(agent.run())
    try:
        yield agent
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def started(gateway: Gateway, agent: ShellAgent) -> tuple[str, int]:
    """A job one of whose tasks runs; its id, and the number of the task."""
    body = json.dumps({"phases": [{"exec": "wc"}]}).encode()
    reply = await gateway.request("POST", "/jill/jobs", body, **{"Content-Type": "application/json"})
    job = reply.headers["Location"].rpartition("/")[2]
    await gateway.put("/jill/stor/a", b"a")
    await gateway.request("POST", f"/jill/jobs/{job}/live/in", b"/jill/stor/a\n")
    await agent.answer.leased.wait()
    (task,) = map(json.loads, (await gateway.get(f"/jill/jobs/{job}/live/tasks?state=running")).text.splitlines())
    return job, task["number"]


def secret_of(agent: ShellAgent) -> str:
    (request,) = agent.shells
    return request.session


async def test_the_agent_is_asked_and_its_program_attaches_with_the_session_s_id(gateway: Gateway) -> None:
    async with agent_of(gateway) as agent:
        job, number = await started(gateway, agent)
        async with attached(gateway, job, "master", f"?task={number}") as master:
            await agent.asked_for_shell.wait()
            assert [(each.task, each.attempt) for each in agent.shells] == [(number, 1)]
            for wrong in (f"?task={number}", f"?task={number}&session={job}", ""):
                assert await refused(gateway, job, "slave", query=wrong) == 404
            assert await refused(gateway, job, "master", query=f"?task={number}") == 409
            async with attached(gateway, job, "slave", f"?task={number}&session={secret_of(agent)}") as slave:
                assert await slave.receive_str() == LINKUP
                assert await after_waiting(master) == LINKUP
                await slave.close(code=1000, message=b"the task has ended")
            last = await master.receive()
            assert (last.type, last.extra) == (WSMsgType.CLOSE, "the task has ended")


async def test_why_there_is_none_reaches_the_user(gateway: Gateway) -> None:
    async with agent_of(gateway) as agent:
        agent.refusal = "it cannot start"
        job, number = await started(gateway, agent)
        async with attached(gateway, job, "master", f"?task={number}") as master:
            last = await master.receive()
            assert (last.type, last.extra) == (WSMsgType.CLOSE, "it cannot start")


async def test_a_task_that_ends_before_its_program_comes_ends_the_session(gateway: Gateway) -> None:
    async with agent_of(gateway) as agent:
        job, number = await started(gateway, agent)
        async with attached(gateway, job, "master", f"?task={number}") as master:
            await agent.asked_for_shell.wait()
            await gateway.request("POST", f"/jill/jobs/{job}/live/cancel")
            while (last := await master.receive()).type is WSMsgType.TEXT:
                continue
            assert (last.type, last.extra) == (WSMsgType.CLOSE, "the task has ended")


async def test_only_the_owner_gets_there_and_only_to_a_task_that_runs(gateway: Gateway) -> None:
    async with agent_of(gateway) as agent:
        job, number = await started(gateway, agent)
        query = f"?task={number}"
        assert await refused(gateway, job, "master", query="?task=4711") == 409
        assert await refused(gateway, job, "master", query="?task=x") == 400
        assert await refused(gateway, job, "master", query=query, headers=gateway.bob.headers()) == 403
        assert not agent.shells


async def test_a_program_at_another_gateway_is_passed_on(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second), agent_of(first) as agent:
        job, number = await started(first, agent)
        async with attached(first, job, "master", f"?task={number}") as master, attached(first, job, "master"):
            await agent.asked_for_shell.wait()
            assert await refused(second, job, "master", query=f"?task={number}") == 409
            query = f"?task={number}&session={secret_of(agent)}"
            async with attached(second, job, "slave", query) as slave:
                assert await slave.receive_str() == LINKUP
                assert await after_waiting(master) == LINKUP
