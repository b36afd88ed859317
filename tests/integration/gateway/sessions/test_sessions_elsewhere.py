"""Sessions among several gateways on the same records: the slave is passed on, a second master is refused by any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import WSMsgType

from scheduler.gateway.sessions.elsewhere import PASSED_ON, Holder, begin
from scheduler.gateway.sessions.session import Sessions
from scheduler.records.database import select
from tests.integration.gateway.sessions.test_sessions import LINKUP, after_waiting, attached, created, refused
from tests.support.eventually import eventually
from tests.support.services.gateway import Gateway, listening, presign, running_jobs


@asynccontextmanager
async def two_gateways(directory: Path) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Gateways on the same records, each of which knows its address."""
    async with (
        running_jobs(directory, sessions=Sessions()) as first,
        listening(replace(first.context, sessions=Sessions())) as second,
    ):
        for gateway in (first, second):
            gateway.context.sessions.address = gateway.url
        yield first, second


async def records(gateway: Gateway, job: str) -> list[str]:
    """The gateways that are recorded for a job's session."""
    (row,) = await gateway.context.db.read(select("job_by_uuid", uuid=job))
    return [each["gateway"] for each in await gateway.context.db.read(select("session_at", job=row["id"], task=0))]


async def test_a_slave_at_the_wrong_gateway_is_passed_on_to_the_master_s(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second):
        job = await created(first)
        async with attached(first, job, "master") as master:
            assert await records(first, job) == [first.url]
            async with attached(second, job, "slave") as slave:
                assert await slave.receive_str() == LINKUP
                assert await after_waiting(master) == LINKUP
                await master.send_str("to the slave")
                assert await slave.receive_str() == "to the slave"
                await slave.send_bytes(b"\xff" * 1000)
                assert await master.receive_bytes() == b"\xff" * 1000
                assert await refused(second, job, "slave") == 409
                await master.close(code=1000, message=b"done")
                last = await slave.receive()
                assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1000, "done")
        await eventually(lambda: not first.context.sessions, "the session is gone")
        assert await records(first, job) == []


async def test_a_presigned_slave_keeps_its_host_on_the_way(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second):
        job = await created(first)
        async with attached(first, job, "master"):
            url = presign(first.jill, f"/jill/medusa/attach/{job}/slave")
            query = "?" + url.partition("?")[2]
            async with attached(second, job, "slave", query, headers={"host": "example:8081"}) as slave:
                assert await slave.receive_str() == LINKUP


async def test_a_second_master_is_refused_at_any_gateway(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second):
        job = await created(first)
        async with attached(first, job, "master"):
            assert await refused(second, job, "master") == 409
            assert await records(first, job) == [first.url]
        await eventually(lambda: not first.context.sessions, "the session is gone")
        async with attached(second, job, "master"):
            assert await records(first, job) == [second.url]
            assert await refused(first, job, "master") == 409


async def test_the_record_of_a_gateway_that_died_stands_in_no_way(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second):
        job = await created(first)
        (row,) = await first.context.db.read(select("job_by_uuid", uuid=job))
        for dead in ("http://127.0.0.1:1", first.url, second.url):  # nothing listens; an earlier start; no such session
            await first.context.db.write(lambda c, url=dead: begin(c, row["id"], 0, Holder(url, "an earlier session")))
            assert await refused(second, job, "slave") == 404
            async with attached(first, job, "master"):
                assert await records(first, job) == [first.url]
            await eventually(lambda: not first.context.sessions, "the session is gone")
            assert await records(first, job) == []


async def test_a_request_is_passed_on_once(tmp_path: Path) -> None:
    async with two_gateways(tmp_path) as (first, second):
        job = await created(first)
        async with attached(first, job, "master"):
            headers = second.jill.headers() | {PASSED_ON: "true"}
            assert await refused(second, job, "slave", headers=headers) == 404
