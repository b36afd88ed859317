"""A job that a task created ends with the task's job; jobs of a key that was removed can be ended with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.gateway.access.tokens import Tokens
from scheduler.records.database import select
from scheduler.service.administration import settle_jobs
from scheduler.supervisor.control.cancelling import cancel_named, orphans
from scheduler.supervisor.jobs.intake import JobRef
from tests.support.gate import Gate
from tests.support.services.gateway import Gateway, error, running_jobs
from tests.support.services.service import Service
from tests.support.services.user import User

JOB = json.dumps({"phases": [{"exec": "cat"}]}).encode()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_jobs(tmp_path) as started:
        yield started


async def create(gateway: Gateway, **proof: str) -> str:
    by = None if proof else gateway.jill
    made = await gateway.request("POST", "/jill/jobs", JOB, by=by, Content_Type="application/json", **proof)
    assert made.status_code == 201, made.text
    return made.headers["Location"].rpartition("/")[2]


def proof_of(gateway: Gateway, job: str) -> dict[str, str]:
    """What the tasks of a job have."""
    return {"Authorization": f"Token {Tokens(b'secret').issue('jill', gateway.context.clock(), job=job)}"}


async def row(gateway: Gateway, job: str):
    return (await gateway.context.db.read(select("job_by_uuid", uuid=job)))[0]


async def done(gateway: Gateway, job: str) -> None:
    async with asyncio.timeout(20):
        while (await gateway.get(f"/jill/jobs/{job}/live/status?wait=9")).json()["state"] != "done":
            pass


@pytest.mark.parametrize("end", ["cancel", "in/end"])
async def test_jobs_of_tasks_end_with_the_first_of_them(gateway: Gateway, end: str) -> None:
    """However deep: the token of a job opens nothing once the job is over, and neither does what came of it."""
    other = await create(gateway)
    chain = [await create(gateway)]
    for _ in range(5):
        chain.append(await create(gateway, **proof_of(gateway, chain[-1])))
    beside = [await create(gateway, **proof_of(gateway, chain[0])) for _ in range(5)]
    assert (await gateway.request("POST", f"/jill/jobs/{chain[0]}/live/{end}", b"")).status_code == 202
    for job in (*chain, *beside):
        await done(gateway, job)
        opened = await gateway.get("/jill/stor", by=None, **proof_of(gateway, job))
        assert error(opened)[1] == "InvalidAuthenticationToken"
    assert [(await row(gateway, job))["cancelled"] for job in (*chain[1:], *beside)] == [1] * 10
    assert (await row(gateway, other))["state"] == "running"


async def test_a_job_that_ends_leaves_the_one_that_its_task_belonged_to(gateway: Gateway) -> None:
    parent = await create(gateway)
    child = await create(gateway, **proof_of(gateway, parent))
    await gateway.request("POST", f"/jill/jobs/{child}/live/cancel", b"", by=None, **proof_of(gateway, parent))
    await done(gateway, child)
    assert (await row(gateway, parent))["state"] == "running"


async def test_jobs_of_tasks_end_also_if_another_process_ends_the_first(gateway: Gateway) -> None:
    """A gateway without a supervisor, or a command: the owner hears of it."""
    parent = await create(gateway)
    child = await create(gateway, **proof_of(gateway, parent))
    ref = JobRef((await row(gateway, parent))["id"], parent)
    await gateway.context.db.write(lambda c: cancel_named(c, ref, gateway.context.clock()))
    await done(gateway, child)


async def test_a_job_that_is_over_creates_none(gateway: Gateway) -> None:
    """Also if its token is looked at just before: the transaction decides."""
    parent = await create(gateway)
    service = gateway.context.service
    assert service is not None

    async def runs(_: str) -> bool:
        return True

    await gateway.request("POST", f"/jill/jobs/{parent}/live/cancel", b"")
    service.runs = runs  # type: ignore[method-assign]
    late = await gateway.request(
        "POST", "/jill/jobs", JOB, by=None, Content_Type="application/json", **proof_of(gateway, parent)
    )
    assert error(late)[:2] == (409, "InvalidJobState")


async def test_a_job_knows_the_key_that_it_came_from(gateway: Gateway) -> None:
    key = gateway.jill.fingerprint
    issued = (await gateway.request("POST", "/jill/tokens")).json()["token"]
    signed = await create(gateway)
    by_token = await create(gateway, Authorization=f"Token {issued}")
    by_task = await create(gateway, **proof_of(gateway, by_token))
    assert [(await row(gateway, job))["creator_key"] for job in (signed, by_token, by_task)] == [key] * 3


async def test_jobs_end_with_the_key_that_they_came_from_and_others_do_not(gateway: Gateway) -> None:
    db, key = gateway.context.db, gateway.jill.fingerprint
    mine = [await create(gateway) for _ in range(3)]
    elsewhere = await create(gateway)
    await db.write(lambda c: c.plain(f"UPDATE jobs SET creator_key = 'aa' WHERE uuid = '{elsewhere}' RETURNING id"))
    assert await db.write(lambda c: settle_jobs(c, "jill", False, key)) == (0, 4)
    assert await db.write(lambda c: settle_jobs(c, "bob", True)) == (0, 0)
    assert await db.write(lambda c: settle_jobs(c, "jill", True, key)) == (3, 1)
    for job in mine:
        await done(gateway, job)
    assert (await row(gateway, elsewhere))["state"] == "running"
    assert await db.write(lambda c: settle_jobs(c, "jill", True)) == (1, 0)
    assert await db.read(orphans) == []


# With tasks that run.


def test_the_tasks_of_a_job_that_a_task_created_are_killed_with_its_job(user: User) -> None:
    item = user.put("item", b"x\n")
    with Gate() as gate:
        held = f"{gate.wait('child')}; sleep 600"
        quoted = held.replace("'", "'\\''")
        ended = user.create(f"mjob create -q -m '{quoted}' <<< $MANTA_INPUT_OBJECT > id; {gate.wait('$(cat id)')}")
        user.add(ended, item)
        (child,) = [word for word in gate.arrivals(2) if word != "child"]
        assert user.jobs.status(child)["state"] == "running"
        user.jobs.cancel(ended)
        status = user.wait(child, lambda status: status["state"] == "done")
        assert status["cancelled"]
        assert gate.left() + gate.left() == 0, "both were killed"


def test_removing_a_key_tells_of_its_jobs_and_ends_them_if_asked(service: Service, user: User) -> None:
    """The command writes into the records of a service that runs, and does not know of it."""
    client = json.loads((service.state_dir / "client.json").read_text())
    login, key = client["user"], client["key_id"]
    words = ("remora", "user", "revoke", login)
    assert service.run(*words).stderr == b""
    item = user.put("item", b"x\n")
    with Gate() as gate:
        job = user.create(f"{gate.wait('held')}; sleep 600")
        user.add(job, item)
        gate.arrivals(1)
        said = service.run(*words).stderr.decode()
        assert said == f"1 job of {login} still running, see --end-jobs\n"
        try:
            said = service.run("remora", "key", "rm", login, key, "--end-jobs").stderr.decode()
            assert said == f"{login} has no key any more\ncancelled 1 job of {login}\n"
            assert gate.left() == 0, "its task was killed"
        finally:
            service.run("remora", "key", "add", login, f"{client['key_file']}.pub")
    assert user.ended(job).status["cancelled"]
