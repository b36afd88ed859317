"""What running tasks have printed so far: read by their agent, carried by the supervisor, given out by a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.model.wire import LogStream, PoolSpec, RunningAnswer, TaskLease, TaskLogRequest
from scheduler.supervisor.agents import running_requests
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.gateway import Gateway, error, running_jobs

PAGE = 64 * 1024
ASK = "curl -s $MANTA_URL/jill/stor/x > /dev/null"  # a request of the task, which the rig sees


# The agent.


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


@pytest.mark.parametrize("way", ["echo one; echo two >&2", "(echo one | cat); (echo two | cat) >&2"])
async def test_a_running_tasks_logs_are_read_page_by_page(agent: Rig, way: str) -> None:
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"{way}; {ASK}; sleep 1000"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    assert await agent.log(task, "stdout") == b"one\n"
    assert await agent.log(task, "stdout", 2) == b"e\n"
    assert await agent.log(task, "stderr", 4) == b""
    assert await agent.log(task, "stderr") == b"two\n"


async def test_what_is_long_is_told_in_bounded_pages(agent: Rig) -> None:
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"head -c 100000 /dev/zero; {ASK}; sleep 1000"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    assert await agent.log(task, "stdout") == bytes(PAGE)
    assert await agent.log(task, "stdout", PAGE) == bytes(100000 - PAGE)


async def test_of_a_task_that_does_not_run_there_is_no_log(agent: Rig) -> None:
    ended, never = agent.map_task(b""), agent.map_task(b"")
    agent.grant(agent.spec("echo secret"), ended)
    await agent.report_of(ended)
    assert await agent.log(ended, "stdout") is None
    assert await agent.log(never, "stdout") is None


# The supervisor.


class Endless:
    """An answer of agents whose tasks go on; `leased` is set when the first has begun."""

    def __init__(self) -> None:
        self.leased = asyncio.Event()

    def __call__(self, _spec: PoolSpec, _task: TaskLease) -> None:
        self.leased.set()


async def running(house, agent: InstantAgent) -> TaskLogRequest:
    """A task of a new job is leased; the request for its stdout."""
    job = await house.job({"exec": "x"})
    await house.give(job, await house.objects(1))
    await agent.answer.leased.wait()
    (lease,) = agent.leases
    return TaskLogRequest(task=lease.task, attempt=lease.attempt, stream=LogStream.STDOUT)


async def test_a_request_goes_with_a_poll_and_the_answer_comes_back(house):
    async with house.agent(answer=Endless(), prints=b"so far") as agent:
        request = await running(house, agent)
        page = await house.supervisor.agent_service.running.ask(agent.id, request)
        assert page.data == "c28gZmFy"
        assert [(each.task, each.attempt) for each in agent.asked] == [(request.task, request.attempt)]


async def test_no_agent_answers_what_another_was_asked(house, monkeypatch):
    monkeypatch.setattr(running_requests, "ANSWER_SECONDS", 0.3)
    async with house.agent(answer=Endless()) as agent:
        request = await running(house, agent)
        logs = house.supervisor.agent_service.running
        agent._tell_log = lambda asked: logs.answer(agent.id + 1, RunningAnswer(number=asked.number, data="bGll"))
        assert await logs.ask(agent.id, request) is None
        assert len(agent.asked) == 1
        assert await logs.ask(agent.id + 1, request) is None  # it never registered


# The gateway.


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_jobs(tmp_path) as started:
        yield started


@contextlib.asynccontextmanager
async def agent_of(gateway: Gateway, prints: bytes | None = None) -> AsyncIterator[InstantAgent]:
    agent = InstantAgent(gateway.supervisor, answer=Endless(), prints=prints)
    working = asyncio.ensure_future(agent.run())
    try:
        yield agent
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def started_job(gateway: Gateway, agent: InstantAgent) -> tuple[str, int]:
    """A job one of whose tasks runs; its path, and the number of the task."""
    body = json.dumps({"phases": [{"exec": "wc"}]}).encode()
    reply = await gateway.request("POST", "/jill/jobs", body, **{"Content-Type": "application/json"})
    live = f"{reply.headers['Location']}/live"
    await gateway.put("/jill/stor/a", b"a")
    assert (await gateway.request("POST", f"{live}/in", b"/jill/stor/a\n/jill/stor/gone")).status_code == 204
    await agent.answer.leased.wait()
    (task,) = map(json.loads, (await gateway.get(f"{live}/tasks?state=running")).text.splitlines())
    assert task["state"] == "running"
    return live, task["number"]


async def test_a_gateway_gives_out_what_a_task_has_printed_to_its_owner_alone(gateway):
    async with agent_of(gateway, prints=b"so far") as agent:
        live, task = await started_job(gateway, agent)
        page = await gateway.get(f"{live}/log?task={task}&stream=stderr&offset=3")
        assert (page.status_code, page.content) == (200, b"far")
        assert (page.headers["X-Remora-Attempt"], page.headers["X-Remora-Next"]) == ("1", "6")
        other = await gateway.get(f"{live}/log?task={task}&attempt=2&offset=3")  # begins anew
        assert (other.content, other.headers["X-Remora-Next"]) == (b"so far", "6")
        for by in (gateway.bob, None):
            assert (await gateway.get(f"{live}/log?task={task}", by=by)).status_code == 403


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("task=x", 400, "InvalidParameter"),
        ("task=1&offset=-1", 400, "InvalidParameter"),
        ("task=1&stream=stdin", 400, "InvalidParameter"),
        ("task=4711", 409, "TaskNotRunning"),
        ("", 409, "TaskNotRunning"),
    ],
)
async def test_what_is_no_running_task_is_refused(gateway, query, status, code):
    async with agent_of(gateway) as agent:
        live, _ = await started_job(gateway, agent)
        assert error(await gateway.get(f"{live}/log?{query}"))[:2] == (status, code)


async def test_one_task_is_asked_for_by_its_number(gateway):
    async with agent_of(gateway) as agent:
        live, number = await started_job(gateway, agent)
        one, none = [await gateway.get(f"{live}/tasks?number={each}") for each in (number, number + 1)]
        assert (json.loads(one.text)["number"], none.text) == (number, "")
        assert error(await gateway.get(f"{live}/tasks?state=never"))[0] == 400
