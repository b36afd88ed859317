"""Who is over a limit, of an account or of all, is told which, how much, and what to do; others are not concerned."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from scheduler.gateway import limiting
from scheduler.gateway.limiting import Bucket, Buckets, Limiter
from scheduler.model.errors import WireError
from scheduler.model.limits import Limits
from scheduler.records import accounts
from scheduler.records.database import Connection
from tests.support.services.gateway import Gateway, running_jobs

JOB = b'{"phases": [{"exec": "wc"}]}'


async def limit(gateway: Gateway, login: str = "jill", **limits: int | None) -> None:
    document = json.dumps(limits) if limits else None
    await gateway.context.db.write(lambda c: c.run("set_limits", login=login, limits=document))


async def limit_all(gateway: Gateway, **limits: int | None) -> None:
    def work(c: Connection) -> None:
        accounts.ensure_operator(c, 0)
        accounts.set_default_limits(c, json.dumps({"in_all": limits}))

    await gateway.context.db.write(work)
    gateway.context.limiter._service_until = 0.0
    gateway.context.limiter._stored.clear()


@pytest.fixture
async def gateway(tmp_path):
    async with running_jobs(tmp_path) as started:
        yield started


def said(reply: httpx.Response) -> tuple[int, str, str]:
    return reply.status_code, reply.json()["code"], reply.json()["message"]


async def test_too_many_requests_are_told_when_to_come_again_and_others_are_served(gateway: Gateway):
    await limit(gateway, requests=1)
    replies = await asyncio.gather(*(gateway.get("/jill/stor") for _ in range(14)))
    assert [reply.status_code for reply in replies].count(200) >= 10
    refused = next(reply for reply in replies if reply.status_code == 429)
    words = "more than 1 requests a second come from jill: try again after 2 s"
    assert said(refused) == (429, "TooManyRequests", words)
    assert refused.headers["Retry-After"] == "2"
    assert (await gateway.get("/bob/stor", by=gateway.bob)).status_code == 200
    assert (await gateway.get("/jill/public", by=None)).status_code == 200


async def test_bytes_and_objects_are_bounded(gateway: Gateway):
    await gateway.put("/jill/stor/small", b"x" * 10)
    found = await gateway.context.db.read(lambda c: accounts.stored_of(c, "jill"))
    await limit(gateway, bytes=found.bytes + 15)
    assert (await gateway.put("/jill/stor/more", b"x" * 10)).status_code == 204
    refused = await gateway.put("/jill/stor/again", b"x" * 10)
    assert said(refused) == (
        (
            507,
            "QuotaExceeded",
            f"{found.bytes + 10} bytes of jill are stored, of at most {found.bytes + 15}: delete objects",
        )
    )

    async def chunks():
        yield b"x" * 10

    refused = await gateway.put("/jill/stor/chunked", chunks())
    assert refused.status_code == 507
    assert (await gateway.get("/jill/stor/chunked")).status_code == 404
    gateway.context.limiter._stored.clear()
    await limit(gateway, objects=found.objects + 1)
    assert said(await gateway.put("/jill/stor/third", b""))[:2] == (507, "QuotaExceeded")
    assert (await gateway.request("DELETE", "/jill/stor/more")).status_code == 204
    gateway.context.limiter._stored.clear()
    assert (await gateway.put("/jill/stor/third", b"")).status_code == 204
    await limit(gateway, objects=1)
    gateway.context.limiter._stored.clear()
    refused = await gateway.request("POST", "/jill/jobs", JOB, content_type="application/json")
    assert said(refused)[:2] == (507, "QuotaExceeded")


async def test_live_jobs_and_inputs_are_bounded(gateway: Gateway):
    await limit(gateway, jobs=1, inputs=3)
    made = await gateway.request("POST", "/jill/jobs", JOB, content_type="application/json")
    assert made.status_code == 201
    job = made.headers["Location"]
    refused = await gateway.request("POST", "/jill/jobs", JOB, content_type="application/json")
    assert said(refused) == (
        (409, "LimitExceeded", "1 jobs of jill go on, of at most 1: wait for one of them, or cancel it")
    )
    assert (await gateway.request("POST", f"{job}/live/in", b"/a\n/b\n")).status_code == 204
    refused = await gateway.request("POST", f"{job}/live/in", b"/c\n/d\n")
    assert said(refused) == (
        (409, "LimitExceeded", "the job would have 4 inputs, and jobs of jill have at most 3: divide them among jobs")
    )
    assert (await gateway.request("POST", f"{job}/live/in", b"/c")).status_code == 204
    assert (await gateway.request("POST", f"{job}/live/cancel")).status_code == 202
    made = await gateway.request("POST", "/jill/jobs", JOB, content_type="application/json")
    assert made.status_code == 201
    await gateway.request("POST", f"{made.headers['Location']}/live/cancel")


MORE = ", or ask the operator for more (remora limits --in-all)"


async def test_all_accounts_together_are_bounded_too(gateway: Gateway):
    found = await gateway.context.db.read(lambda c: accounts.stored_of(c, None))
    await limit_all(gateway, objects=found.objects + 2)
    assert (await gateway.put("/jill/stor/one", b"1")).status_code == 204
    assert (await gateway.put("/bob/stor/two", b"22", by=gateway.bob)).status_code == 204
    most = found.objects + 2
    words = f"{most} objects of all accounts are stored, of at most {most}: delete some{MORE}"
    assert said(await gateway.put("/jill/stor/three", b"")) == (507, "QuotaExceeded", words)
    await limit_all(gateway, bytes=found.bytes + 3)
    words = f"{found.bytes + 3} bytes of all accounts are stored, of at most {found.bytes + 3}: delete objects{MORE}"
    assert said(await gateway.put("/jill/stor/three", b"3")) == (507, "QuotaExceeded", words)
    await limit_all(gateway, jobs=1)
    made = await gateway.request("POST", "/jill/jobs", JOB, content_type="application/json")
    assert made.status_code == 201
    refused = await gateway.request("POST", "/bob/jobs", JOB, content_type="application/json", by=gateway.bob)
    words = f"1 jobs of all accounts go on, of at most 1: wait for one of them, or cancel it{MORE}"
    assert said(refused) == (409, "LimitExceeded", words)
    await gateway.request("POST", f"{made.headers['Location']}/live/cancel")
    await limit_all(gateway, requests=1)
    replies = await asyncio.gather(*(gateway.get("/jill/stor", by=by) for by in (gateway.jill, gateway.bob) * 7))
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert said(refused)[2] == "more than 1 requests a second come from all accounts: try again after 2 s"


def test_a_bucket_fills_at_its_rate_and_holds_ten_seconds_of_it():
    bucket = Bucket(20.0, 0.0)
    assert [bucket.take(2, 0.0, 0.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(2, 0.0, 0.0) == 0.5
    assert bucket.take(2, 0.5, 0.0) == 0.0
    assert [bucket.take(2, 1000.0, 0.0) for _ in range(21)][-1] > 0


def test_who_waits_for_a_token_has_it_and_the_next_waits_longer():
    bucket = Bucket(0.0, 0.0)
    assert [bucket.take(4, 0.0, 1.0) for _ in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.25]
    assert bucket.take(4, 0.5, 1.0) == 0.75


def test_the_gateway_remembers_a_bounded_number_of_callers(monkeypatch):
    monkeypatch.setattr(limiting, "MOST_BUCKETS", 10)
    buckets = Buckets(lambda: 0.0)
    for number in range(100):
        assert buckets.take(f"anonymous at {number}", 1) == 0
    assert len(buckets) == 10


async def test_a_refusal_of_all_accounts_together_costs_the_caller_no_token(gateway: Gateway):
    await limit_all(gateway, requests=1)
    counter = Counter("refused_in_all", "", ("limit",), registry=CollectorRegistry())
    limiter = Limiter(gateway.context.db, counter, lambda: 0.0)
    for number in range(limiting.BURST_SECONDS):
        await limiter.check_rate(f"caller {number}", Limits(requests=1))
    for _ in range(2 * limiting.BURST_SECONDS):
        limiter._requests.take(limiting.ALL, 1.0, limiting.PATIENCE_SECONDS)
    with pytest.raises(WireError):
        await limiter.check_rate("jill", Limits(requests=1))
    left = 0
    while not limiter._requests.take("jill", 1.0):
        left += 1
    assert left == limiting.BURST_SECONDS


async def test_a_callers_request_waits_for_a_few_of_each_other_and_not_for_all():
    counter = Counter("refused", "", ("limit",), registry=CollectorRegistry())
    limiter, begun = Limiter(None, counter, lambda: 0.0), []

    async def ask(who: str) -> None:
        await limiter.turn(who)
        begun.append(who)

    flood = [asyncio.create_task(ask("mallory")) for _ in range(100)]
    await asyncio.sleep(0)  # all of them wait, but the first
    assert len(begun) == limiting.AT_ONCE
    await ask("bob")
    assert len(begun) <= 2 * limiting.AT_ONCE + 1
    await asyncio.gather(*flood)
    assert begun.count("mallory") == 100


async def test_who_is_refused_again_and_again_waits_for_it_and_others_do_not(monkeypatch):
    counter = Counter("refused", "", ("limit",), registry=CollectorRegistry())
    limiter = Limiter(None, counter, lambda: 0.0)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(limiting.asyncio, "sleep", sleep)
    for who in ["mallory"] * 15 + ["jill"] * 3:
        with pytest.raises(WireError):
            await limiter.check_inputs(who, Limits(inputs=1), 2)
    assert waits == [1.0] * 5
