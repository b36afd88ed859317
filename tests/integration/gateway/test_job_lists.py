"""Lists of the jobs API, page by page, and what a job's directories and its tasks are said to be."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace

import pytest
import pytest_asyncio

from scheduler.model.wire import Usage
from tests.support.nodes.instant_agent import InstantAgent, failed, ok
from tests.support.services.gateway import Gateway, error, running_jobs

pytestmark = pytest.mark.asyncio(loop_scope="module")

TASKS = "application/x-json-stream; type=task"
MANY = 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    """A gateway with the jobs API and an agent whose tasks take no time."""
    async with running_jobs(tmp_path_factory.mktemp("gateway")) as started:
        yield started


async def create(
    gateway: Gateway, *, name: str = "", login: str = "jill", by="jill", phases=None, **headers: str
) -> str:
    body = json.dumps({"name": name, "phases": phases or [{"exec": "wc"}]}).encode()
    reply = await gateway.request(
        "POST", f"/{login}/jobs", body, by=by, **{"Content-Type": "application/json", **headers}
    )
    assert reply.status_code == 201, reply.text
    return reply.headers["Location"].rpartition("/")[2]


async def pages(gateway: Gateway, path: str, limit: int) -> list[list[str]]:
    """The lines of a list, page by page, as a client that follows it to its end gets them."""
    found, marker = [], ""
    while True:
        query = f"limit={limit}" + (f"&marker={marker}" if marker else "")
        reply = await gateway.get(f"{path}{'&' if '?' in path else '?'}{query}")
        assert reply.status_code == 200, reply.text
        found.append(reply.text.splitlines())
        if "X-Remora-Next" not in reply.headers:
            return found
        marker = reply.headers["X-Remora-Next"]


async def test_the_directories_of_a_job_keep_the_headers_of_its_request(gateway):
    headers = {"m-project": "Lear", "M-Colour": "red", "access-control-allow-origin": "*", "x-other": "no"}
    job = await create(gateway, **headers)
    for directory in ("", "/live", "/stor"):
        reply = await gateway.request("HEAD", f"/jill/jobs/{job}{directory}")
        assert (reply.headers["m-project"], reply.headers["m-colour"]) == ("Lear", "red")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "x-other" not in reply.headers


async def test_a_list_of_no_jobs_is_empty_and_of_no_type(gateway):
    reply = await gateway.get("/jill/jobs?state=live&name=nobody")
    assert (reply.status_code, reply.content) == (200, b"")
    assert "content-type" not in reply.headers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def named(gateway):
    """Jobs of one name, oldest first, between those of another account."""
    made = []
    for _ in range(MANY):
        made.append(await create(gateway, name="one"))
        await create(gateway, name="one", login="bob", by=gateway.bob)
    return made


@pytest.mark.parametrize(("limit", "sizes"), [(3, [3, 3, 1]), (MANY, [MANY, 0]), (MANY + 1, [MANY])])
async def test_the_list_of_jobs_is_followed_to_its_end(gateway, named, limit, sizes):
    found = await pages(gateway, "/jill/jobs?name=one", limit)
    assert [len(page) for page in found] == sizes
    assert [json.loads(line)["name"] for page in found for line in page] == named


async def test_a_marker_that_is_no_job_id_means_nothing_as_ever(gateway, named):
    reply = await gateway.get("/jill/jobs?name=one&marker=abc")
    assert [json.loads(line)["name"] for line in reply.text.splitlines()] == named
    assert "X-Remora-Next" not in reply.headers


async def test_the_job_of_another_account_is_no_marker(gateway, named):
    bobs = await create(gateway, login="bob", by=gateway.bob)
    for marker in (bobs, str(uuid.uuid4())):
        reply = await gateway.get(f"/jill/jobs?state=live&marker={marker}")
        assert error(reply) == (400, "InvalidParameter", f'"{marker}" is invalid for "marker"')


def half(spec, task):
    """An attempt that succeeds unless its input is odd, and says what it took."""
    number = int((task.input or "0")[-1])
    usage = Usage(wall_us=1000, user_us=20, sys_us=3, max_rss_kb=number, bytes_in=7, bytes_out=5)
    return replace((failed if number % 2 else ok)(spec, task), usage=usage)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def done(gateway):
    """The directory of a job of which every other task has failed."""
    names = [f"/jill/stor/in{number}" for number in range(MANY)]
    for name in names:
        await gateway.put(name)
    phases = [{"exec": "wc"}, {"exec": "cat", "type": "reduce", "memory": 256}]
    path = f"/jill/jobs/{await create(gateway, phases=phases)}"
    await gateway.request("POST", f"{path}/live/in?end=true", "\n".join(names).encode())
    agent = asyncio.ensure_future(InstantAgent(gateway.supervisor, answer=half).run())
    while (await gateway.get(f"{path}/live/status?wait=5")).json()["state"] != "done":
        pass
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)
    return path


async def test_every_list_of_a_job_is_followed_to_its_end(gateway, done):
    for what in ("in", "out", "fail", "err", "tasks"):
        whole = (await gateway.get(f"{done}/live/{what}")).text.splitlines()
        found = await pages(gateway, f"{done}/live/{what}", 2)
        assert [line for page in found for line in page] == whole
        assert all(len(page) == 2 for page in found[:-1])


async def test_tasks_say_which_they_are_how_they_stand_and_what_they_took(gateway, done):
    reply = await gateway.get(f"{done}/live/tasks")
    assert reply.headers["content-type"] == TASKS
    tasks = [json.loads(line) for line in reply.text.splitlines()]
    assert len({task.pop("taskId") for task in tasks}) == MANY + 1
    assert len({task.pop("number") for task in tasks}) == MANY + 1
    usage = {"wall_us": 1000, "user_us": 20, "sys_us": 3, "max_rss_kb": 1, "bytes_in": 7, "bytes_out": 5}
    (first,) = [task for task in tasks if task.get("input") == "/jill/stor/in1"]
    assert first == {
        "phaseNum": 0, "state": "failed", "attempts": 1, "retries": 0,
        "input": "/jill/stor/in1", "p0input": "/jill/stor/in1", "usage": usage,
    }  # fmt: skip
    assert tasks[-1] == {
        "phaseNum": 1, "state": "done", "attempts": 1, "retries": 0, "reducer": 0, "usage": usage | {"max_rss_kb": 0},
    }  # fmt: skip


async def test_usage_is_summed_up_by_phase(gateway, done):
    reply = await gateway.get(f"{done}/live/usage")
    assert reply.headers["content-type"] == "application/json"
    took = {"wall_us": 7000, "cpu_us": 161, "max_rss_kb": 6, "bytes_in": 49, "bytes_out": 35}
    last = {"wall_us": 1000, "cpu_us": 23, "max_rss_kb": 0, "bytes_in": 7, "bytes_out": 5}
    assert reply.json() == {
        "id": done.rpartition("/")[2],
        "phases": [
            {"phase": 0, "type": "map", "memory": 1024, "disk": 8, "tasks": MANY, **took},
            {"phase": 1, "type": "reduce", "memory": 256, "disk": 8, "tasks": 1, **last},
        ],
    }


async def test_a_marker_from_another_job_shows_nothing_of_it(gateway, done):
    other = f"/jill/jobs/{await create(gateway, phases=[{'exec': 'wc', 'type': 'reduce'}] * 2)}"
    own = (await gateway.get(f"{other}/live/tasks")).text.splitlines()
    assert len(own) == 2
    reply = await gateway.get(f"{done}/live/tasks?limit={MANY + 1}")
    foreign = reply.headers["X-Remora-Next"]  # a task of the last phase
    assert (await gateway.get(f"{other}/live/tasks?marker={foreign}")).text.splitlines() == own
