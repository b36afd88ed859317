"""A node with a valid credential that lies is believed only about its own leases."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest_asyncio

from scheduler.common.ids import new_id
from scheduler.records.database import Row, select
from tests.support.hostile.hostile_node import HostileNode, ok, output
from tests.support.services.gateway import Gateway, error, running_jobs

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SECRET = b"jill's secret"


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    with TemporaryDirectory(dir=MEMORY) as directory:
        async with running_jobs(Path(directory)) as started:
            yield started


@pytest_asyncio.fixture
async def evil(gateway: Gateway) -> HostileNode:
    node = HostileNode(gateway)
    await node.register()
    return node


async def secret_of_jill(gateway: Gateway) -> str:
    """The id of the blob of a private object."""
    return (await gateway.put("/jill/stor/secret", SECRET)).headers["etag"]


def written(gateway: Gateway, data: bytes = b"x") -> str:
    """A blob that no record refers to: something that an agent or a client is writing at the moment."""
    blobs, blob = gateway.context.blobs, new_id()
    fd = blobs.create()
    os.write(fd, data)
    blobs.publish(fd, blob)
    os.close(fd)
    return blob


async def task(gateway: Gateway, number: int) -> Row:
    rows = await gateway.context.db.read(select("tasks_for_reports", tasks=f"[{number}]"))
    return rows[0]


async def errors_of(gateway: Gateway, job: str) -> str:
    return (await gateway.get(f"/bob/jobs/{job}/live/err", by=gateway.bob)).text


# Whose lease it is.


async def test_a_report_about_the_lease_of_another_node_changes_nothing(gateway: Gateway, evil: HostileNode) -> None:
    honest = HostileNode(gateway, "honest")
    await evil.say("beat", {"agent": evil.agent, "leaves": True})
    await honest.register()
    job, [lease] = await honest.leased("bob")
    await evil.register(slots=0)
    before = tuple(await task(gateway, lease.task))
    blob = written(gateway)
    for lie in ({"outcome": "ok"}, {"outcome": "failed", "code": "UserTaskError"}, {"outcome": "lost"}):
        reply = await evil.report(ok(lease, output("/bob/stor/forged", blob)) | lie)
        assert reply.json() == {"discard": [{"task": lease.task, "attempt": lease.attempt}]}
        assert tuple(await task(gateway, lease.task)) == before
        assert (await gateway.get("/bob/stor/forged", by=gateway.bob)).status_code == 404
        assert gateway.context.blobs.path(blob).exists()
    assert (await honest.report(ok(lease))).json() == {"discard": []}
    assert (await task(gateway, lease.task))["state"] == "committed"
    assert await errors_of(gateway, job) == ""


async def test_a_start_of_an_agent_that_is_over_speaks_for_nothing(gateway: Gateway, evil: HostileNode) -> None:
    _, [lease] = await evil.leased("bob")
    before, _ = evil.agent, await evil.register()
    assert (await task(gateway, lease.task))["state"] == "ready"
    assert (await evil.report(ok(lease))).status_code == 200
    evil.agent = before
    assert error(await evil.report(ok(lease)))[:2] == (409, "UnknownAgent")
    assert (await task(gateway, lease.task))["state"] == "ready"


async def test_a_report_of_a_wrong_attempt_removes_nothing(gateway: Gateway, evil: HostileNode) -> None:
    _, [lease] = await evil.leased("bob")
    secret, uploading = await secret_of_jill(gateway), written(gateway)
    for attempt in (lease.attempt - 1, lease.attempt + 1):
        lie = ok(lease, output("/bob/stor/a", secret, len(SECRET)), output("/bob/stor/b", uploading), attempt=attempt)
        assert (await evil.report(lie)).status_code == 200
    assert (await gateway.get("/jill/stor/secret")).content == SECRET
    assert gateway.context.blobs.path(uploading).exists()


async def test_a_reducer_that_is_over_is_fed_no_more(gateway: Gateway, evil: HostileNode) -> None:
    job, [lease] = await evil.leased("bob", {"exec": "cat", "type": "reduce"})
    fed = [{"task": lease.task, "attempt": lease.attempt, "after": 0, "room": 9}]
    assert [len(page.sources) for page in (await evil.poll(feeds=fed)).feeds] == [1]
    await evil.report(ok(lease, outcome="lost"))
    gateway.supervisor.agent_service.let_go()  # polls are answered at once
    assert (await evil.poll(feeds=fed)).feeds == []
    assert job


# Which blobs it may speak of.


async def test_an_attempt_that_claims_the_blob_of_an_object_is_tried_again(gateway: Gateway, evil: HostileNode) -> None:
    _, [lease] = await evil.leased("bob")
    secret = await secret_of_jill(gateway)
    await evil.report(ok(lease, output("/bob/stor/mine", secret, len(SECRET))))
    assert (await task(gateway, lease.task))["state"] == "ready"
    assert (await gateway.get("/bob/stor/mine", by=gateway.bob)).status_code == 404
    assert (await gateway.get("/jill/stor/secret")).content == SECRET


CLAIMS: dict[str, Callable[[Gateway], list[dict[str, Any]]]] = {
    "not there": lambda gateway: [output("/bob/stor/a", new_id())],
    "of another size": lambda gateway: [output("/bob/stor/a", written(gateway), 2)],
    "on another node": lambda gateway: [output("/bob/stor/a", written(gateway), node="honest")],
    "without its MD5": lambda gateway: [output("/bob/stor/a", written(gateway), md5=None)],
    "twice": lambda gateway: [output(f"/bob/stor/{name}", blob) for blob in [written(gateway)] for name in "ab"],
}


async def test_an_attempt_with_a_claim_that_is_not_good_is_lost(gateway: Gateway, evil: HostileNode) -> None:
    for what, claim in CLAIMS.items():
        await evil.register()
        job, [lease] = await evil.leased("bob")
        await evil.report(ok(lease, *claim(gateway)))
        row = await task(gateway, lease.task)
        assert (row["state"], row["retries"]) == ("ready", 1), what
        assert (await gateway.get("/bob/stor/a", by=gateway.bob)).status_code == 404, what
        await gateway.supervisor.cancel(gateway.supervisor.jobs.by_uuid(job))


async def test_a_task_whose_claims_are_never_good_fails_by_a_reason(gateway: Gateway, evil: HostileNode) -> None:
    job, [lease] = await evil.leased("bob")
    [pool] = gateway.supervisor.jobs.by_uuid(job).pools
    for _ in range(2):
        await evil.report(ok(lease, output("/bob/stor/a", new_id())))
        reply = await evil.poll(pools=[{"pool": pool, "instances": 2, "room": 2}])
        [lease] = [each for grant in reply.pools for each in grant.tasks]
    await evil.report(ok(lease, output("/bob/stor/a", new_id())))
    assert '"message":"an output is not in the object store as it was reported"' in await errors_of(gateway, job)


async def test_two_attempts_cannot_claim_one_blob(gateway: Gateway, evil: HostileNode) -> None:
    _, leases = await evil.leased("bob", inputs=2)
    blob = written(gateway)
    await evil.report(*(ok(lease, output(f"/bob/stor/{lease.task}", blob)) for lease in leases))
    assert sorted([(await task(gateway, lease.task))["state"] for lease in leases]) == ["committed", "ready"]


NOT_BOBS = ["/jill/stor/forged", "/bob", "/bob/stor", "/bob/other/x", "/nobody/public/x"]


async def test_an_output_is_named_where_the_owner_of_the_job_may_write(gateway: Gateway, evil: HostileNode) -> None:
    for name in NOT_BOBS:
        await evil.register()
        job, [lease] = await evil.leased("bob")
        before = await gateway.records()
        await evil.report(ok(lease, output(name, written(gateway))))
        assert await gateway.records() == before, name
        assert "cannot save output" in await errors_of(gateway, job), name


async def test_only_a_fresh_blob_is_adopted(gateway: Gateway, evil: HostileNode) -> None:
    job, _ = await evil.leased("bob")
    secret, fresh = await secret_of_jill(gateway), written(gateway)
    for blob, size in ((secret, len(SECRET)), (new_id(), 1), (fresh, 2)):
        claim = output("/bob/stor/mine", blob, size) | {"job": job}
        assert error(await evil.say("adopt", claim))[0] == 400
        assert (await gateway.get("/bob/stor/mine", by=gateway.bob)).status_code == 404
    assert (await evil.say("adopt", output("/bob/stor/mine", fresh) | {"job": job})).status_code == 204
    assert error(await evil.say("adopt", output("/bob/stor/again", fresh) | {"job": job}))[0] == 400


async def test_a_node_without_work_of_a_job_writes_nothing_for_it(gateway: Gateway, evil: HostileNode) -> None:
    job, [lease] = await evil.leased("bob")
    check = {"job": job, "name": "/bob/stor/x"}
    assert (await evil.say("check", check)).status_code == 204
    await evil.report(ok(lease))
    supervisor = gateway.supervisor
    await supervisor.cancel(supervisor.jobs.by_uuid(job))
    assert (await evil.say("check", check)).status_code in (403, 409)


# What no message can be.

HUGE = 1 << 70
GOOD = {"task": 1, "attempt": 1, "outcome": "ok"}
TRAVERSALS = ["../../../../etc/hostname", "../victim", "", "x" * 36, "A" * 8, "/etc/passwd", "..%2f", "0" * 36]
BROKEN: list[tuple[str, Any]] = [
    *(("report", {"attempts": [GOOD | {"outputs": [output("/bob/stor/x", blob)]}]}) for blob in TRAVERSALS),
    *(("report", {"attempts": [GOOD | {"missing": [blob]}]}) for blob in TRAVERSALS),
    *(("sweep", {"blobs": [blob]}) for blob in TRAVERSALS),
    *(
        ("report", {"attempts": [GOOD | {"outputs": [output(name, new_id())]}]})
        for name in ("x", "/a/../b", "/a//b", "/a/\0")
    ),
    ("report", {"attempts": [GOOD | {"task": HUGE}]}),
    ("report", {"attempts": [GOOD | {"attempt": -1}]}),
    ("report", {"attempts": [GOOD | {"code": "NoSuchCode"}]}),
    ("report", {"attempts": [GOOD | {"message": "x" * 70_000}]}),
    ("report", {"attempts": [GOOD | {"usage": {"wall_us": HUGE}}]}),
    ("report", {"attempts": [GOOD | {"usage": {"bytes_in": -1}}]}),
    ("report", {"attempts": [GOOD | {"outputs": [{"name": "/bob/stor/x", "reducer": -1}]}]}),
    ("report", {"attempts": [GOOD | {"outputs": [{"name": "x"}] * 10_001}]}),
    ("report", {"attempts": [GOOD | {"outputs": [output("/bob/stor/x", new_id(), -5)]}]}),
    ("report", {"attempts": [GOOD] * 5000}),
    ("poll", {"state": {"seen": HUGE}}),
    ("poll", {"state": {"seen": 0, "pools": [{"pool": 1, "instances": HUGE, "room": 1}]}}),
    ("poll", {"state": {"seen": 0, "pools": [{"pool": 1, "instances": 1, "room": HUGE}]}}),
    ("poll", {"state": {"seen": 0, "feeds": [{"task": 1, "attempt": 1, "after": -1, "room": 1}]}}),
    ("register", {"node": "evil", "slots": -1, "memory_mb": 1, "provider": "x", "version": 3}),
    ("register", {"node": "evil", "slots": 1, "memory_mb": HUGE, "provider": "x", "version": 3}),
    ("register", {"node": "evil", "slots": 1, "memory_mb": 1, "provider": "x", "version": 3, "serves": "file:///etc"}),
    ("adopt", output("/bob/stor/x", "../victim") | {"job": new_id()}),
    ("adopt", output("/bob/stor/x", new_id()) | {"job": "../x"}),
    ("check", {"job": new_id(), "name": "/bob/stor/x", "headers": {str(n): "" for n in range(2000)}}),
]


async def test_a_message_with_what_cannot_be_is_refused_whole(gateway: Gateway, evil: HostileNode) -> None:
    before = await gateway.records()

    async def said(what: str, body: dict[str, Any]) -> httpx.Response:
        return await evil.say(what, {"agent": evil.agent, "state": {"seen": 0}} | body)

    for what, body in BROKEN:
        assert error(await said(what, body))[:2] == (400, "BadRequestError"), (what, str(body)[:200])
    assert await gateway.records() == before
