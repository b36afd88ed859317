"""What the credential of a node is good for: its own agent, and tasks that were given to it. Over HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from scheduler.gateway import agents
from scheduler.gateway.node_credentials import issue
from scheduler.model import wire
from scheduler.model.job import parse_job
from scheduler.objects.blobs import EMPTY_MD5
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.gateway import Gateway, error, running, running_jobs

STATE = wire.AgentState(seen=0)
BLOB = wire.BlobRef(id=str(uuid.uuid4()), size=0, md5=EMPTY_MD5)


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_jobs(tmp_path) as started:
        yield started


def credential(gateway: Gateway, node: str) -> str:
    return issue(gateway.context.agent_secret, node)


async def ask(gateway: Gateway, what: str, message: wire.Wire | str, node: str | None = "n1") -> httpx.Response:
    """A request with the credential of a node, or with none."""
    body = message if isinstance(message, str) else message.model_dump_json()
    headers = {"Authorization": f"Bearer {credential(gateway, node)}"} if node else {}
    return await gateway.request("POST", f"/_agent/v1/{what}", body.encode(), by=None, **headers)


def registration(node: str = "n1", **changes: Any) -> wire.RegisterRequest:
    return wire.RegisterRequest(node=node, slots=2, memory_mb=4096, provider="none", **changes)


async def register(gateway: Gateway, node: str = "n1") -> int:
    reply = await ask(gateway, "register", registration(node), node)
    assert reply.status_code == 200, reply.text
    return wire.RegisterReply.model_validate_json(reply.content).agent


def of_agent(agent: int) -> dict[str, wire.Wire]:
    """Everything that a registered agent says."""
    report = wire.AttemptReport(task=1, attempt=1, outcome=wire.Outcome.OK)
    return {
        "poll": wire.PollRequest(agent=agent, state=STATE),
        "report": wire.ReportRequest(agent=agent, state=STATE, attempts=[report]),
        "beat": wire.AgentBeat(agent=agent),
        "sweep": wire.SweepRequest(agent=agent, blobs=[]),
    }


async def job_on(gateway: Gateway, node: str) -> tuple[str, InstantAgent, asyncio.Task[None]]:
    """A job of jill's with a task that runs on a node and does not end."""
    supervisor = gateway.supervisor
    agent = InstantAgent(supervisor, answer=lambda spec, task: None, node=node)
    running = asyncio.create_task(agent.run())
    await gateway.put("/jill/stor/in", b"")
    job = await supervisor.create_job("jill", parse_job({"phases": [{"exec": "sleep 9"}]}))
    await supervisor.add_inputs(supervisor.jobs.by_uuid(job), ["/jill/stor/in"])
    await eventually(lambda: agent.leases, "the task is leased")
    return job, agent, running


# Who is believed.


@pytest.mark.parametrize("what", sorted(agents.SERVE))
async def test_without_a_credential_nothing_is_served(gateway: Gateway, what: str) -> None:
    assert error(await ask(gateway, what, "{}", node=None))[:2] == (403, "InvalidAgentSecret")


@pytest.mark.parametrize(
    "forge",
    [
        lambda good: good.replace("n1.", "n2."),
        lambda good: good[:-1],
        lambda good: good + "0",
        lambda good: good.upper(),
        lambda good: good.partition(".")[2],
        lambda good: "agent secret",
    ],
)
async def test_a_credential_that_was_changed_is_none(gateway: Gateway, forge: Any) -> None:
    headers = {"Authorization": f"Bearer {forge(credential(gateway, 'n1'))}"}
    reply = await gateway.request("POST", "/_agent/v1/supervisors", b"{}", by=None, **headers)
    assert error(reply) == (403, "InvalidAgentSecret", "this is not the credential of a node of this service")


async def test_an_agent_of_another_version_is_told_so(gateway: Gateway) -> None:
    future = '{"version": 99, "node": {"name": "n1"}, "everything": "else"}'
    told = f"the agent speaks version 99 of the protocol, this service {wire.VERSION}"
    assert error(await ask(gateway, "register", future)) == (400, "BadRequestError", told)
    past = registration(version=1)
    assert "speaks version 1" in error(await ask(gateway, "register", past))[2]


# What it is good for.


async def test_an_agent_registers_polls_reports_and_beats_with_its_own(gateway: Gateway) -> None:
    agent = await register(gateway)
    for what, message in of_agent(agent).items():
        if what == "poll":
            gateway.supervisor.agent_service.let_go()  # which answers at once
        assert (await ask(gateway, what, message)).status_code < 300, what


async def test_nobody_registers_in_the_name_of_another_node(gateway: Gateway) -> None:
    agent = await register(gateway, "n2")
    reply = await ask(gateway, "register", registration("n2"), "n1")
    assert error(reply) == (403, "AuthorizationFailed", "the credential of node n1 is not good for node n2")
    assert (await ask(gateway, "beat", wire.AgentBeat(agent=agent), "n2")).status_code == 204  # it was not replaced


async def test_an_agent_is_not_spoken_for_by_another_node(gateway: Gateway) -> None:
    agent = await register(gateway, "n2")
    await register(gateway, "n1")
    for what, message in of_agent(agent).items():
        refused = error(await ask(gateway, what, message, "n1"))
        assert refused == (403, "AuthorizationFailed", f"the credential of node n1 is not good for agent {agent}"), what


async def test_an_agent_that_is_not_registered_must_register(gateway: Gateway) -> None:
    for what, message in of_agent(77).items():
        assert error(await ask(gateway, what, message))[:2] == (409, "UnknownAgent"), what


async def test_only_a_node_that_was_given_its_tasks_writes_for_a_job(gateway: Gateway) -> None:
    job, _, running = await job_on(gateway, "n1")
    await register(gateway, "n2")
    try:
        for name, message in {
            "check": wire.OutputCheck(job=job, name="/jill/stor/out"),
            "adopt": wire.Adoption(job=job, name="/jill/stor/out", blob=BLOB),
        }.items():
            for stranger in ("n2", "n3"):
                refused = error(await ask(gateway, name, message, stranger))
                assert refused[:2] == (403, "AuthorizationFailed"), (name, stranger)
            assert (await gateway.get("/jill/stor/out")).status_code == 404
            assert (await ask(gateway, name, message, "n1")).status_code == 204
        assert (await gateway.get("/jill/stor/out")).status_code == 200
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_nobody_writes_for_a_job_that_is_over(gateway: Gateway) -> None:
    job, _, running = await job_on(gateway, "n1")
    try:
        await gateway.request("POST", f"/jill/jobs/{job}/live/cancel")
        reply = await ask(gateway, "adopt", wire.Adoption(job=job, name="/jill/stor/late", blob=BLOB))
        assert reply.status_code in (403, 409), reply.text
        assert (await gateway.get("/jill/stor/late")).status_code == 404
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# Whom to register with.


async def test_a_supervisor_says_who_the_supervisors_are(gateway: Gateway) -> None:
    await gateway.context.db.write(lambda c: c.insert("insert_supervisor", url="http://s2:1", now=c.now()))
    gone = await gateway.context.db.write(lambda c: c.insert("insert_supervisor", url="http://s3:1", now=c.now()))
    await gateway.context.db.write(lambda c: c.run("lose_supervisor", supervisor=gone))
    reply = wire.Supervisors.model_validate_json((await ask(gateway, "supervisors", "{}")).content)
    assert [each.url for each in reply.supervisors] == ["", "http://s2:1"]


async def test_a_gateway_alone_says_that_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path) as alone:
        await alone.context.db.write(lambda c: c.insert("insert_supervisor", url="http://s1:1", now=c.now()))
        reply = wire.Supervisors.model_validate_json((await ask(alone, "supervisors", "{}")).content)
        assert [each.url for each in reply.supervisors] == ["http://s1:1"]
        assert error(await ask(alone, "register", registration()))[:2] == (404, "ResourceNotFound")
