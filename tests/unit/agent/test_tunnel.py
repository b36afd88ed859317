"""WebSockets of tasks: the gateway that has the session is found, messages are copied, and either side ends both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError, web

from scheduler.agent.gateways import Gateways
from scheduler.agent.task_api.tunnel import Tunnels
from scheduler.http import answering
from scheduler.http.websocket import accept
from scheduler.model.errors import WireError

PATH = "/jill/medusa/attach/8bd3/slave"
SECONDS = 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def refusing(status: int) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    return handle


class EchoingGateway:
    """A gateway that has the session: it answers each message with the same, and ends with the word `end`."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.ended = asyncio.Event()
        self.close: tuple[int | None, str] = (None, "")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        connection = await accept(request)
        while (message := await connection.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            if message.data == "end":
                await connection.close(code=1000, message=b"done")
            elif message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        self.close = message.data, message.extra or ""
        self.ended.set()
        return connection


@asynccontextmanager
async def endpoint(*gateways: str) -> AsyncIterator[tuple[str, Any]]:
    """An instance's endpoint in front of these gateways: its URL, and the attempt that it charges while it `runs`."""
    attempt = SimpleNamespace(sent=0, received=0, runs=True)
    host = SimpleNamespace(
        spec=SimpleNamespace(token="job-token"),
        running=lambda: attempt if attempt.runs else None,
    )
    async with aiohttp.ClientSession() as session:
        tunnels = Tunnels(Gateways(gateways), session)

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await tunnels.serve(request, host, attempt)  # type: ignore[arg-type]
            except WireError as error:
                return answering.refusal(request, error)

        async with server(handle) as url:
            yield url, attempt


@asynccontextmanager
async def attached(url: str, query: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    target = url + PATH + query
    async with aiohttp.ClientSession() as client, asyncio.timeout(SECONDS), client.ws_connect(target) as connection:
        yield connection


async def test_the_gateways_are_asked_until_one_has_the_session() -> None:
    gateway = EchoingGateway()
    async with server(refusing(404)) as other, server(gateway.handle) as right:
        nowhere = "http://127.0.0.1:9"
        async with endpoint(other, nowhere, right) as (url, attempt), attached(url) as task:
            await task.send_str("abc")
            assert await task.receive_str() == "abc"
            await task.send_bytes(b"\xff\x00")
            assert await task.receive_bytes() == b"\xff\x00"
            assert (attempt.sent, attempt.received) == (5, 5)
        (headers,) = gateway.headers
        assert headers["Authorization"] == "Token job-token"


async def test_the_end_of_the_gateway_is_that_of_the_task_with_its_reason() -> None:
    async with server(EchoingGateway().handle) as right, endpoint(right) as (url, _), attached(url) as task:
        await task.send_str("end")
        last = await task.receive()
        assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1000, "done")


async def test_the_end_of_the_task_is_that_of_the_gateway() -> None:
    gateway = EchoingGateway()
    async with server(gateway.handle) as right, endpoint(right) as (url, _):
        async with attached(url):
            pass
        async with asyncio.timeout(SECONDS):
            await gateway.ended.wait()


@pytest.mark.parametrize(("runs", "reason"), [(False, "the task has ended"), (True, "remote connection reset")])
async def test_a_program_that_is_killed_ends_with_its_task_or_alone(runs: bool, reason: str) -> None:
    gateway = EchoingGateway()
    async with server(gateway.handle) as right, endpoint(right) as (url, attempt):
        async with attached(url) as task:
            attempt.runs = runs
            assert task._response.connection is not None and task._response.connection.transport is not None
            task._response.connection.transport.abort()
        async with asyncio.timeout(SECONDS):
            await gateway.ended.wait()
    assert gateway.close[1] == reason


async def test_a_shell_beside_a_task_is_not_charged_to_it() -> None:
    async with server(EchoingGateway().handle) as right, endpoint(right) as (url, attempt):
        async with attached(url, "?task=7&session=secret") as shell:
            await shell.send_str("abc")
            assert await shell.receive_str() == "abc"
        assert (attempt.sent, attempt.received) == (0, 0)


@pytest.mark.parametrize(("answers", "status"), [((404, 404), 404), ((409, 404), 409)])
async def test_the_refusal_of_the_gateways_reaches_the_task(answers: tuple[int, int], status: int) -> None:
    async with server(refusing(answers[0])) as one, server(refusing(answers[1])) as two:
        assert await refused_by(one, two) == status


async def test_without_a_gateway_the_service_is_away() -> None:
    assert await refused_by("http://127.0.0.1:9") == 503


async def refused_by(*gateways: str) -> int:
    """The status with which these gateways, which do not upgrade, make the endpoint refuse."""
    async with endpoint(*gateways) as (url, _):
        with pytest.raises(WSServerHandshakeError) as refused:
            async with attached(url):
                raise AssertionError("it was attached")
    return refused.value.status
