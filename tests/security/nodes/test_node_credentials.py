"""One node's credential is rotated without an outage, and revoked with all that it was good for."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from scheduler.agent import process as agent_process
from scheduler.agent.options import parse
from scheduler.engine.credential import FIRST, Trust
from scheduler.gateway import node_credentials
from scheduler.records import node_trust
from tests.support.hostile.hostile_node import HostileNode, ok
from tests.support.services.gateway import Gateway, error, running_jobs

HOUR = 3_600_000


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(node_credentials, "LOOK_SECONDS", 0.0)  # every request looks
    async with running_jobs(tmp_path) as started:
        yield started


async def beat(gateway: Gateway, node: HostileNode, generation: int) -> httpx.Response:
    proof = node_credentials.issue(gateway.context.agent_secret, node.name, generation)
    body = f'{{"agent": {node.agent}}}'
    return await gateway.request("POST", "/_agent/v1/beat", body.encode(), by=None, Authorization=f"Bearer {proof}")


async def good(gateway: Gateway, node: HostileNode) -> list[int]:
    """Which generations of a node's credential are good."""
    return [number for number in range(4) if (await beat(gateway, node, number)).status_code == 204]


async def test_a_rotated_credential_is_good_beside_the_new_one_until_the_overlap_ends(gateway: Gateway) -> None:
    node = HostileNode(gateway, "n1")
    await node.register()
    _, [lease] = await node.leased("bob")
    assert await good(gateway, node) == [0]
    now = gateway.context.clock()
    await gateway.context.db.write(lambda c: node_trust.rotate(c, "n1", now + HOUR))
    assert await good(gateway, node) == [0, 1]
    gateway.context.nodes._clock = lambda: now + HOUR
    assert await good(gateway, node) == [1]
    proof = node_credentials.issue(gateway.context.agent_secret, "n1", 1)
    told = {"agent": node.agent, "state": {"seen": node.seen}, "attempts": [ok(lease)]}
    headers = {"Authorization": f"Bearer {proof}"}
    reply = await gateway.http.post(f"{gateway.url}/_agent/v1/report", json=told, headers=headers)
    assert reply.json() == {"discard": []}  # the lease is still its own


async def test_a_revoked_node_is_refused_and_its_tasks_run_elsewhere(gateway: Gateway) -> None:
    stolen, other = HostileNode(gateway, "stolen"), HostileNode(gateway, "other")
    await stolen.register(serves="http://127.0.0.1:1", tickets="key")
    _, [lease] = await stolen.leased("bob")
    await other.register()
    await gateway.context.db.write(lambda c: node_trust.revoke(c, "stolen", 1))
    again = asyncio.create_task(other.poll())
    refused = (403, "InvalidAgentSecret", "this is not the credential of a node of this service")
    for what, body in (("beat", {"agent": stolen.agent}), ("supervisors", {}), ("register", {"version": 3})):
        assert error(await stolen.say(what, body)) == refused, what
    async with asyncio.timeout(10):
        tasks = [each for grant in (await again).pools for each in grant.tasks]
    assert [(each.task, each.attempt) for each in tasks] == [(lease.task, lease.attempt + 1)]
    assert [session.node for session in gateway.supervisor.agent_service.sessions()] == ["other"]
    assert (await other.say("supervisors", {})).json()["revoked"] == ["stolen"]


async def test_tokens_of_jobs_that_a_revoked_node_was_given_open_nothing(gateway: Gateway) -> None:
    node = HostileNode(gateway, "n1")
    await node.register()
    _, [_] = await node.leased("jill")
    [token] = {grant.spec.token for grant in node.granted if grant.spec is not None}
    await gateway.put("/jill/stor/secret", b"secret")

    async def read() -> int:
        return (await gateway.get("/jill/stor/secret", by=None, Authorization=f"Token {token}")).status_code

    assert await read() == 200
    await gateway.context.db.write(lambda c: node_trust.revoke(c, "n1", gateway.context.clock()))
    assert await read() == 403
    await gateway.context.db.write(lambda c: node_trust.rotate(c, "n1", None))
    assert await read() == 403


async def test_after_a_revocation_only_a_new_credential_is_good(gateway: Gateway) -> None:
    node = HostileNode(gateway, "n1")
    for work in (node_trust.rotate, node_trust.revoke, node_trust.rotate):
        await gateway.context.db.write(lambda c, work=work: work(c, "n1", None if work is node_trust.rotate else 1))
    proof = node_credentials.issue(gateway.context.agent_secret, "n1", 2)
    assert [await gateway.context.nodes.node_of(f"Bearer {proof}")] == ["n1"]
    for old in (0, 1, 3):
        proof = node_credentials.issue(gateway.context.agent_secret, "n1", old)
        assert await gateway.context.nodes.node_of(f"Bearer {proof}") is None, old
    assert node.agent == 0


async def test_while_the_records_cannot_be_read_what_was_read_last_holds(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_credentials, "WAIT_SECONDS", 0.01)
    await gateway.context.db.write(lambda c: node_trust.revoke(c, "stolen", 1))
    keeper = gateway.context.nodes
    good, bad = (node_credentials.issue(gateway.context.agent_secret, node) for node in ("n1", "stolen"))
    assert (await keeper.node_of(f"Bearer {good}"), await keeper.node_of(f"Bearer {bad}")) == ("n1", None)

    async def never(work: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(keeper, "_db", type("Out", (), {"read": staticmethod(never)}))
    assert (await keeper.node_of(f"Bearer {good}"), await keeper.node_of(f"Bearer {bad}")) == ("n1", None)
    assert keeper._looking is not None
    keeper._looking.cancel()


def test_generations() -> None:
    rotated = FIRST.rotate(until=10)
    assert [rotated.accepts(number, 9) for number in range(3)] == [True, True, False]
    assert [rotated.accepts(number, 10) for number in range(3)] == [False, True, False]
    twice = rotated.rotate(until=None)
    assert [twice.accepts(number, 10**15) for number in range(4)] == [False, True, True, False]
    ended = twice.revoke(5)
    assert not any(ended.accepts(number, 0) for number in range(4))
    assert ended.revoke(6) == ended
    assert ended.rotate(None) == Trust(generation=3, oldest=3, revoked=5)
    assert [ended.rotate(None).vouches_for(issued) for issued in (4, 5, 6)] == [False, False, True]
    assert not ended.vouches_for(10**15)
    assert twice.vouches_for(0)


async def test_a_hang_up_ends_no_agent_and_each_request_has_the_credential_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credential"
    file.write_text(node_credentials.issue("key", "n1"))
    told = {"--url": "http://127.0.0.1:1", "--node": "n1", "--state-dir": str(tmp_path), "--credential-file": str(file)}
    options = parse([word for option in told.items() for word in option], {})
    working = asyncio.Event()
    heard = asyncio.Event()

    async def work(*_: object) -> None:
        working.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(agent_process, "work_on", work)
    monkeypatch.setattr(agent_process, "reread", heard.set)
    serving = asyncio.create_task(agent_process.serve(options))
    async with asyncio.timeout(10):
        await working.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        await heard.wait()
        file.write_text(node_credentials.issue("key", "n1", 1))
        assert node_credentials.verify("key", f"Bearer {options.credential()}") == ("n1", 1)
        assert not serving.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
