"""A client that only connects stops nobody: silent connections, half headers, more than there are descriptors for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from scheduler.http import protocol
from scheduler.http.limits import Bounds, ConnectionLimits, LimitedHandler
from scheduler.http.listener import peer_of
from scheduler.log import Sparing
from tests.support.eventually import eventually
from tests.support.services.service import Service, serving

PING = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class House:
    """A server with limits on a loopback port; `/slow` is answered when `go` is set, `/trusted` makes one trusted."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.go = asyncio.Event()
        self.slow = asyncio.Semaphore(0)
        self.port = 0
        self.streams: list[Stream] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/slow":
            self.slow.release()
            await self.go.wait()
        if request.path == "/trusted":
            accepted = self.limits.find(request.transport)
            assert accepted is not None
            self.limits.trust(accepted)
        return web.Response(text="here")

    async def connect(self, data: bytes = b"") -> Stream:
        stream = await asyncio.open_connection("127.0.0.1", self.port)
        self.streams.append(stream)
        stream[1].write(data)
        return stream

    async def ask_slowly(self) -> Stream:
        """A connection with a request that is being answered."""
        stream = await self.connect(PING.replace(b"/ ", b"/slow "))
        async with asyncio.timeout(5):
            await self.slow.acquire()
        return stream

    async def served(self, stream: Stream) -> bool:
        """Whether a request on a connection is answered, or the connection closed instead."""
        try:
            stream[1].write(PING)
            return (await asyncio.wait_for(stream[0].read(1 << 16), 5)).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False


async def closed(stream: Stream) -> bool:
    try:
        return await asyncio.wait_for(stream[0].read(), 5) == b""
    except ConnectionError:
        return True


async def counted(house: House, number: int) -> None:
    await eventually(lambda: house.limits.count == number, f"{number} connections")


@asynccontextmanager
async def house(bounds: Bounds, seconds: float = 60.0) -> AsyncIterator[House]:
    limits = ConnectionLimits(bounds, seconds)
    made = House(limits)
    server = web.Server(made.answer)
    loop = asyncio.get_running_loop()
    listener = limits.listener(socket.create_server(("127.0.0.1", 0)))
    made.port = listener.getsockname()[1]
    serving = await loop.create_server(lambda: LimitedHandler(server, limits=limits, loop=loop), sock=listener)
    try:
        yield made
    finally:
        made.go.set()
        for _, writer in made.streams:
            writer.close()
        serving.close()
        await server.shutdown(0.1)


async def test_silent_connections_of_a_peer_give_way_to_its_next_one():
    async with house(Bounds(total=100, per_peer=4)) as here:
        silent = [await here.connect() for _ in range(4)]
        assert await here.served(await here.connect())
        assert await closed(silent[0])
        assert all([await here.served(each) for each in silent[1:]])


async def test_half_a_header_is_no_request():
    async with house(Bounds(total=2, per_peer=2)) as here:
        halves = [await here.connect(PING[:-2]) for _ in range(8)]
        assert await here.served(await here.connect())
        assert await closed(halves[0])


async def test_one_that_waits_for_its_next_request_gives_way_after_those_that_never_asked():
    async with house(Bounds(total=2, per_peer=2)) as here:
        idle = await here.connect()
        assert await here.served(idle)
        silent = await here.connect()
        assert await here.served(await here.connect())
        assert await closed(silent)
        assert await here.served(idle)
        await here.connect()
        await here.connect()
        assert here.limits.count == 2


async def test_a_connection_whose_request_is_being_answered_keeps_its_place():
    async with house(Bounds(total=2, per_peer=2)) as here:
        busy = [await here.ask_slowly() for _ in range(2)]
        assert await closed(await here.connect())
        assert here.limits.refused == 1
        here.go.set()
        assert [await each[0].readline() for each in busy] == [b"HTTP/1.1 200 OK\r\n"] * 2


async def test_a_reserve_is_left_for_trusted_peers():
    async with house(Bounds(total=2, per_peer=2, reserve=1)) as here:
        for _ in range(2):
            await here.ask_slowly()
        agent = await here.connect(PING.replace(b"/ ", b"/trusted "))
        assert await agent[0].readline() == b"HTTP/1.1 200 OK\r\n"
        assert (here.limits.count, here.limits.trusted) == (2, 1)
        assert await closed(await here.connect())
        agent[1].close()
        await eventually(lambda: not here.limits.trusted, "the agent's connection is closed")


async def test_who_asks_for_nothing_is_hung_up_on():
    async with house(Bounds(total=9, per_peer=9), seconds=0.05) as here:
        asked = await here.connect()
        assert await here.served(asked)
        assert await closed(await here.connect())
        assert await closed(await here.connect(PING[:-2]))
        assert await here.served(asked)


async def test_a_closed_connection_no_longer_counts():
    async with house(Bounds(total=9, per_peer=9)) as here:
        for _ in range(3):
            await here.connect()
        await counted(here, 3)
        for _, writer in here.streams:
            writer.close()
        await counted(here, 0)


async def test_without_descriptors_connections_are_closed_and_said_so_once(caplog):
    async with house(Bounds(total=99, per_peer=99)) as here:
        idle = await here.connect()
        assert await here.served(idle)
        clients = [socket.socket() for _ in range(8)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        try:
            taken = fill_descriptors()
            for client in clients:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", here.port))
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(clients[0], 1), 5) == b""
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in [*clients, *taken]:
                each.close()
        assert await closed(idle), "its descriptor was needed"
        assert await here.served(await here.connect())
        spared = Sparing()
        assert len([each for each in caplog.records if spared.filter(each)]) == 1


def fill_descriptors() -> list[socket.socket]:
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(socket.socket())
    return taken


async def test_a_client_that_takes_nothing_of_its_reply_is_hung_up_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.05)

    async def large(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * 20_000_000)

    limits = ConnectionLimits(Bounds(total=9, per_peer=9))
    server = protocol.HttpServer(Speaker(), web.Server(large), limits)
    serving = await asyncio.get_running_loop().create_server(
        server, sock=limits.listener(socket.create_server(("127.0.0.1", 0)))
    )
    with socket.create_connection(serving.sockets[0].getsockname()) as client:
        client.sendall(PING)
        await eventually(lambda: limits.count, "the connection is counted")
        await eventually(lambda: not limits.count, "the connection is closed")
    serving.close()
    await server.shutdown(0.1)


class Speaker:
    """Who replies, in the name of a test."""

    server_name = "test"

    def clock(self) -> int:
        return 0


async def test_who_is_not_welcome_does_not_count():
    limits = ConnectionLimits(Bounds(total=9, per_peer=9))
    listener = limits.listener(socket.create_server(("127.0.0.1", 0)), welcome=lambda sock, address: False)
    with listener, socket.create_connection(listener.getsockname()) as client:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert client.recv(1) == b""
        assert limits.count == 0


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("10.0.0.5", 4711), "10.0.0.5"),
        (("::ffff:10.0.0.5", 4711, 0, 0), "10.0.0.5"),
        (("2001:db8:1:2:3:4:5:6", 4711, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 4711, 0, 2), "fe80::"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_the_network_of_a_customer(address, peer):
    assert peer_of(address) == peer


HALF = b"GET /ping HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with few places, all taken by silent connections and halves of headers."""
    with serving(tmp_path_factory.mktemp("service") / "state", "--max-connections", "40") as running:
        port = httpx.URL(running.url).port
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        for each in silent[::2]:
            with contextlib.suppress(OSError):
                each.sendall(HALF)
        yield running
        for each in silent:
            each.close()


def test_objects_and_jobs_are_served_beside_silent_connections(crowded: Service) -> None:
    crowded.run("mput", "~~/stor/a", stdin="one\n", seconds=20)
    assert crowded.text("mjob", "create", "-o", "wc -l", stdin="~~/stor/a\n", seconds=60).strip() == "1"


def test_the_agent_of_a_crowded_service_is_never_lost(crowded: Service) -> None:
    text = httpx.get(f"{crowded.url}/metrics", timeout=10).text
    trusted = next(line for line in text.splitlines() if line.startswith("remora_connections_trusted "))
    assert float(trusted.split()[1]) >= 1
    assert "agent lost" not in crowded.log.read_text()


def test_a_range_of_versions_that_took_half_a_minute_is_answered_at_once(crowded: Service) -> None:
    blanks = " " * 1350
    hostile = {"Accept-Version": f"1||{blanks}1 -{blanks}y"}
    assert httpx.get(f"{crowded.url}/nobody/public/x", headers=hostile, timeout=10).status_code == 400
