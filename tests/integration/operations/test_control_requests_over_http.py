"""Control of jobs over HTTP: what each request is answered, also those that no client of ours sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import pytest_asyncio

from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.gateway import Gateway, error, running_jobs

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
MAP = {"type": "map", "inputs": ["/jill/stor/in"], "spec": {"exec": "cat"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory):
    """A gateway with the jobs API and an agent whose tasks go on for ever."""
    async with running_jobs(tmp_path_factory.mktemp("gateway")) as started:
        await started.put("/jill/stor/in", b"x\n")
        agent = InstantAgent(started.context.supervisor(), answer=lambda spec, task: None)
        running = asyncio.ensure_future(agent.run())
        yield started
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def create(gateway: Gateway, document: dict[str, Any]) -> str:
    reply = await gateway.request("POST", "/jill/jobs", json.dumps(document).encode(), **JSON)
    assert reply.status_code == 201, reply.text
    return reply.headers["Location"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def job(gateway: Gateway) -> str:
    return await create(gateway, MAP)


async def post(gateway: Gateway, job: str, what: str, body: bytes = b"", **headers: str):
    return await gateway.request("POST", f"{job}/live/{what}", body, **headers)


@pytest.mark.parametrize(
    "what", ["suspend", "suspend?abort=true", "suspend?abort=false", "resume", "update", "attempts/0.0.1/abort"]
)
async def test_each_request_is_accepted_again_and_again(gateway: Gateway, job: str, what: str) -> None:
    for _ in range(2):
        assert (await post(gateway, job, what, b"{}" if what == "update" else b"")).status_code in (202, 404)
    await post(gateway, job, "resume")


@pytest.mark.parametrize(
    ("what", "body", "status", "code"),
    [
        ("suspend?abort=maybe", b"", 400, "InvalidParameter"),
        ("abort", b"[]", 400, "InvalidContent"),
        ("abort", b"\xff", 400, "InvalidContent"),
        ("abort", b'{"why": "x"}', 400, "InvalidArgumentError"),
        ("abort", b'{"reason": 3}', 400, "InvalidArgumentError"),
        ("abort", json.dumps({"reason": "x" * 1001}).encode(), 400, "InvalidArgumentError"),
        ("update", b'{"inputs": []}', 400, "InvalidJob"),
        ("update", b'{"title": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "InvalidContent"),
        ("update", b" " * 200_000, 413, "RequestEntityTooLargeError"),
        ("attempts/0.9.1/abort", b"", 404, "ResourceNotFound"),
        ("attempts/0.0.0/abort", b"", 404, "ResourceNotFound"),
        ("attempts/9999.999999999.999999999/abort", b"", 404, "ResourceNotFound"),
        ("attempts/0.0.1/abandon", b"", 404, "ResourceNotFound"),
        ("attempts/-1.0.1/abort", b"", 404, "ResourceNotFound"),
        ("attempts/0.0.1e3/abort", b"", 404, "ResourceNotFound"),
        ("tasks/0.9/abandon", b"", 404, "ResourceNotFound"),
        ("tasks/0/abandon", b"", 404, "ResourceNotFound"),
        ("complete/now", b"", 404, "ResourceNotFound"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    gateway: Gateway, job: str, what: str, body: bytes, status: int, code: str
) -> None:
    reply = await post(gateway, job, what, body)
    assert error(reply)[:2] == (status, code)


@pytest.mark.parametrize("what", ["suspend", "attempts/0.0.1/abort", "tasks/0.0/abandon", "update"])
async def test_only_a_post_controls_a_job(gateway: Gateway, job: str, what: str) -> None:
    reply = await gateway.get(f"{job}/live/{what}")
    assert error(reply)[:2] == (405, "MethodNotAllowedError")


@pytest.mark.parametrize(
    "query", ["state=x", "reason=x", "stage=x", "task=-1", "stage=99999999999999999999", "stderr=no", "marker=1"]
)
async def test_a_filter_of_attempts_that_is_none_is_refused(gateway: Gateway, job: str, query: str) -> None:
    assert error(await gateway.get(f"{job}/live/attempts?{query}"))[:2] == (400, "InvalidParameter")


@pytest.mark.parametrize("query", ["state=x", "stage=x", "task=x"])
async def test_a_filter_of_tasks_that_is_none_is_refused(gateway: Gateway, job: str, query: str) -> None:
    assert error(await gateway.get(f"{job}/live/tasks?{query}"))[:2] == (400, "InvalidParameter")


@pytest.mark.parametrize("query", ["type=x", "status=x", "since=x", "before=-1", "failed=no", "alias=%00", "alias="])
async def test_a_search_for_jobs_that_is_none_is_refused(gateway: Gateway, query: str) -> None:
    assert error(await gateway.get(f"/jill/jobs?{query}"))[:2] == (400, "InvalidParameter")


async def found(gateway: Gateway, query: str) -> list[str]:
    reply = await gateway.get(f"/jill/jobs?{query}")
    assert reply.status_code == 200, reply.text
    return [json.loads(line)["name"] for line in reply.text.splitlines()]


async def test_operations_are_found_by_what_they_are(gateway: Gateway, job: str) -> None:
    named = (await create(gateway, MAP | {"alias": "*one", "name": "n"})).rpartition("/")[2]
    pipeline = (await create(gateway, {"phases": [{"exec": "wc"}]})).rpartition("/")[2]
    assert await found(gateway, "alias=*one") == [named]
    assert await found(gateway, "type=pipeline") == [pipeline]
    assert set(await found(gateway, "type=map")) == {job.rpartition("/")[2], named}
    assert await found(gateway, "type=sort") == []
    assert await found(gateway, "failed=true") == []
    assert await found(gateway, "before=1") == []
    assert len(await found(gateway, "since=1&type=map")) == 2
    assert set(await found(gateway, "status=running")) == {job.rpartition("/")[2], named, pipeline}


async def test_a_job_of_another_account_is_none(gateway: Gateway, job: str) -> None:
    for method, what in (
        ("POST", "suspend"),
        ("POST", "update"),
        ("GET", "attempts/0.0.1"),
        ("GET", "attempts/0.0.1/input"),
    ):
        reply = await gateway.request(method, f"{job}/live/{what}", b"", by=gateway.bob)
        assert error(reply)[:2] == (403, "AuthorizationFailed")
        reply = await gateway.request(method, f"{job.replace('/jill/', '/bob/')}/live/{what}", b"", by=gateway.bob)
        assert error(reply)[0] == 404
