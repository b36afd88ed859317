"""Interactive sessions at the gateway: pairing, what is copied and what is dropped, refusals, and every kind of end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.sessions.session import End, Sessions, Timings
from tests.support.eventually import eventually
from tests.support.services.gateway import Gateway, error, presign, running_jobs

WAIT, LINKUP = 'medusa:{"type":"wait"}', 'medusa:{"type":"linkup"}'
KEY = base64.b64encode(bytes(16)).decode()
UPGRADE = {"connection": "upgrade", "upgrade": "websocket", "sec_websocket_key": KEY}
SECONDS = 20


@asynccontextmanager
async def gateway_at(directory: Path, timings: Timings | None = None) -> AsyncIterator[Gateway]:
    async with running_jobs(directory, sessions=Sessions(timings)) as gateway:
        yield gateway


async def created(gateway: Gateway) -> str:
    """A job that waits for input."""
    document = json.dumps({"phases": [{"type": "reduce", "exec": "cat"}]}).encode()
    reply = await gateway.request("POST", "/jill/jobs", document, content_type="application/json")
    assert reply.status_code == 201, reply.text
    return reply.headers["location"].rpartition("/")[2]


@asynccontextmanager
async def attached(
    gateway: Gateway, job: str, end: str, query: str = "", headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[ClientWebSocketResponse]:
    """A connection as one end of a session; signed by jill unless `headers` prove something else."""
    url = f"{gateway.url}/jill/medusa/attach/{job}/{end}{query}"
    async with aiohttp.ClientSession() as client:
        proof = gateway.jill.headers() if headers is None else headers
        async with asyncio.timeout(SECONDS), client.ws_connect(url, headers=proof, **options) as connection:
            yield connection


@asynccontextmanager
async def linked(
    gateway: Gateway, job: str, query: str = ""
) -> AsyncIterator[tuple[ClientWebSocketResponse, ClientWebSocketResponse]]:
    """Both ends, after `linkup`."""
    async with attached(gateway, job, "master", query) as master, attached(gateway, job, "slave") as slave:
        assert await slave.receive_str() == LINKUP
        assert await after_waiting(master) == LINKUP
        yield master, slave


async def after_waiting(master: ClientWebSocketResponse) -> str:
    while (said := await master.receive_str()) == WAIT:
        continue
    return said


async def refused(gateway: Gateway, job: str, end: str, **more: Any) -> int:
    with pytest.raises(WSServerHandshakeError) as refusal:
        async with attached(gateway, job, end, **more):
            raise AssertionError("it was attached")
    return refusal.value.status


async def test_messages_are_copied_both_ways_and_the_first_end_closes_the_other(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway, linked(gateway, await created(gateway)) as (master, slave):
        await master.send_str('mlogin:{"type":"start"}')
        assert await slave.receive_str() == 'mlogin:{"type":"start"}'
        await slave.send_bytes(b"\x1b[1m\xff")
        assert await master.receive_bytes() == b"\x1b[1m\xff"
        await slave.close(code=1000, message=b"done")
        last = await master.receive()
        assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1000, "done")
        await eventually(lambda: not gateway.context.sessions, "the session is gone")


async def test_a_master_waits_and_what_it_says_meanwhile_is_dropped(tmp_path: Path) -> None:
    async with gateway_at(tmp_path, Timings(wait=0.01)) as gateway:
        job = await created(gateway)
        async with attached(gateway, job, "master", autoping=False) as master:
            assert [await master.receive_str() for _ in range(3)] == [WAIT] * 3
            await master.send_str("early")
            await master.ping(b"is it read")  # the answer says that what came before was read
            while (message := await master.receive()).type is not WSMsgType.PONG:
                assert message.data == WAIT
            async with attached(gateway, job, "slave") as slave:
                assert await after_waiting(master) == LINKUP
                await master.send_str("late")
                assert [await slave.receive_str() for _ in range(2)] == [LINKUP, "late"]


async def test_a_job_has_one_master_and_one_slave_and_the_master_comes_first(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway:
        job = await created(gateway)
        path = f"/jill/medusa/attach/{job}/slave"
        reply = await gateway.get(path, **UPGRADE)
        assert error(reply) == (404, "ResourceNotFound", f"Session for job {job} was not found")
        async with linked(gateway, job):
            assert await refused(gateway, job, "master") == 409
            assert await refused(gateway, job, "slave") == 409


async def test_a_client_without_a_version_is_accepted_as_manta_accepts_it(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway:
        path = f"/jill/medusa/attach/{await created(gateway)}/master"
        sent = {name.replace("_", "-"): value for name, value in UPGRADE.items()} | gateway.jill.headers()
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        port = int(gateway.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)).decode().lower().split("\r\n")
        writer.close()
        assert head[0].startswith("http/1.1 101 ")
        assert "connection: upgrade" in head and "upgrade: websocket" in head
        assert not [line for line in head if line.startswith("sec-websocket-extensions")]


async def test_what_cannot_be_attached_is_refused_in_mantas_order(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway:
        job = await created(gateway)
        at = f"/jill/medusa/attach/{job}"
        none = f"/jill/medusa/attach/{job[:-1]}x/master"
        assert error(await gateway.get(none)) == (404, "ResourceNotFound", f"{none} does not exist")
        assert error(await gateway.get(f"{at}/master", by=gateway.bob))[:2] == (403, "AuthorizationFailed")
        assert error(await gateway.get(f"{at}/master", by=None))[:2] == (403, "AuthorizationFailed")
        plain = error(await gateway.get(f"{at}/master"))
        assert plain == (400, "ExpectedUpgrade", f"{at}/master requires a Websocket Upgrade")
        strange = error(await gateway.get(f"{at}/third", **UPGRADE))
        assert strange == (400, "InvalidParameter", '"type" is invalid for "third"')
        assert error(await gateway.get(f"{at}/master?idle=0", **UPGRADE))[:2] == (400, "InvalidParameter")
        assert error(await gateway.request("POST", f"{at}/master"))[:2] == (405, "MethodNotAllowedError")
        assert error(await gateway.get(f"{at}/master", **{**UPGRADE, "sec_websocket_key": "x"}))[0] == 400
        await gateway.request("POST", f"/jill/jobs/{job}/live/cancel")
        assert error(await gateway.get(f"{at}/master", **UPGRADE))[:2] == (409, "InvalidJobState")


async def test_a_presigned_url_attaches_and_one_that_is_over_does_not(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway:
        job = await created(gateway)
        path, host = f"/jill/medusa/attach/{job}/slave", gateway.url.removeprefix("http://")
        async with attached(gateway, job, "master"):
            _, query = presign(gateway.jill, path, expires=1, host=host).split("?")
            assert await refused(gateway, job, "slave", query=f"?{query}", headers={}) == 403
            _, query = presign(gateway.jill, path, host=host).split("?")
            async with attached(gateway, job, "slave", f"?{query}", {}) as slave:
                assert await slave.receive_str() == LINKUP


async def test_a_token_of_a_job_attaches_only_the_slave_of_this_job(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway:
        job, other = await created(gateway), await created(gateway)
        token = Tokens(gateway.context.secret).issue("jill", gateway.context.clock(), job)
        proof = {"Authorization": f"Token {token}"}
        assert await refused(gateway, job, "master", headers=proof) == 403
        async with attached(gateway, job, "master"), attached(gateway, other, "master"):
            assert await refused(gateway, other, "slave", headers=proof) == 403
            async with attached(gateway, job, "slave", headers=proof) as slave:
                assert await slave.receive_str() == LINKUP


async def test_a_session_in_which_nothing_happens_ends(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway, linked(gateway, await created(gateway), "?idle=1") as (master, slave):
        for end in (master, slave):
            last = await end.receive()
            assert (last.type, last.extra) == (WSMsgType.CLOSE, "nothing was typed or shown for 1 seconds")


async def test_a_master_does_not_wait_for_a_job_that_is_done(tmp_path: Path) -> None:
    async with gateway_at(tmp_path, Timings(wait=0.01, look=0.01)) as gateway:
        job = await created(gateway)
        async with attached(gateway, job, "master") as master:
            await gateway.request("POST", f"/jill/jobs/{job}/live/cancel")
            while (message := await master.receive()).type is WSMsgType.TEXT:
                continue
            assert (message.type, message.extra) == (WSMsgType.CLOSE, "the job is done")


async def test_an_end_that_answers_nothing_is_lost_and_the_other_hears_it(tmp_path: Path) -> None:
    async with gateway_at(tmp_path, Timings(silence=0.1)) as gateway:
        job = await created(gateway)
        async with attached(gateway, job, "master") as master, attached(gateway, job, "slave"):  # which reads nothing
            assert await after_waiting(master) == LINKUP
            last = await master.receive()
            assert (last.type, last.extra) == (WSMsgType.CLOSE, "remote connection error")


async def test_a_flood_waits_for_its_reader(tmp_path: Path) -> None:
    """The sender is never ahead by more than what the buffers of the kernel and the two connections hold."""
    piece, pieces = bytes(64 * 1024), 1024
    async with gateway_at(tmp_path) as gateway, linked(gateway, await created(gateway)) as (master, slave):

        async def flood() -> None:
            for _ in range(pieces):
                await slave.send_bytes(piece)

        flooding = asyncio.create_task(flood())
        (session,) = gateway.context.sessions._of.values()
        await eventually(lambda: session.moved[End.SLAVE] > 1 << 20, "the flood has begun")
        for count in range(pieces):
            assert session.moved[End.SLAVE] - count * len(piece) < 32 << 20
            assert await master.receive_bytes() == piece
        await flooding


async def test_a_message_that_is_too_long_ends_the_session(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway, linked(gateway, await created(gateway)) as (master, slave):
        await slave.send_bytes(bytes(200_000))
        last = await master.receive()
        assert (last.type, last.data) == (WSMsgType.CLOSE, 1009)


async def test_a_gateway_that_stops_ends_its_sessions(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as gateway, linked(gateway, await created(gateway)) as (master, slave):
        closing = asyncio.create_task(gateway.context.sessions.close())
        for end in (master, slave):
            last = await end.receive()
            assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1001, "the service stops")
        await closing
