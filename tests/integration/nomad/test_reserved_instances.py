"""Launchers that call an agent, and what becomes of each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from datapath import libexec
from scheduler.agent.slots import reserved_instances as module
from scheduler.agent.slots.reserved_instances import ReservedInstances
from scheduler.providers import InstanceError

POOL = 7
ENVIRONMENT = {
    "REMORA_ALLOC": "0e1f2a3b-0000-1111-2222-333344445555",
    "REMORA_POOL": str(POOL),
    "REMORA_INSTANCES": "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10/0",
    "REMORA_MEMORY_MB": "1024",
    "REMORA_DISK_GB": "8",
}


class Node:
    """An agent's side, and launchers that call it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changed = asyncio.Event()
        self.arrivals = ReservedInstances(path)
        self.launchers: list[asyncio.subprocess.Process] = []

    async def launch(self, **more: str) -> asyncio.subprocess.Process:
        launcher = await asyncio.create_subprocess_exec(
            libexec("launcher"), str(self.path), env=ENVIRONMENT | more, stderr=asyncio.subprocess.PIPE
        )
        self.launchers.append(launcher)
        return launcher

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self.changed.wait()
                self.changed.clear()

    async def arrived(self, number: int, pool: int = POOL) -> None:
        await self.until(lambda: self.arrivals.count(pool) == number)


async def ended(launcher: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(10):
        return await launcher.wait()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path / "run" / "launch.sock")
    await node.arrivals.open(node.changed.set)
    yield node
    await node.arrivals.close()
    for launcher in node.launchers:
        with contextlib.suppress(ProcessLookupError):
            launcher.kill()
        await launcher.wait()


async def test_a_launcher_that_has_called_is_a_place_for_one_instance(node):
    await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    assert place is not None
    assert place.told.model_dump() == {
        "alloc": ENVIRONMENT["REMORA_ALLOC"],
        "pool": POOL,
        "instances": ENVIRONMENT["REMORA_INSTANCES"],
        "memory_mb": 1024,
        "disk_gb": 8,
    }
    assert node.arrivals.take(POOL) is None
    node.arrivals.give_back(place)
    assert node.arrivals.take(POOL) is place


async def test_a_pool_is_told_of_a_place_that_is_free_again(node):
    """It may be that of a supervisor which has taken over, while the last one's instance was still there."""
    await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    told = []
    node.arrivals.attach(POOL, lambda: told.append(node.arrivals.take(POOL)))
    node.arrivals.give_back(place)
    assert told == [place]


async def test_places_of_one_pool_are_none_of_anothers(node):
    await node.launch()
    await node.arrived(1)
    assert node.arrivals.take(8) is None
    assert node.arrivals.counts() == {POOL: 1}


async def test_free_places_that_are_not_wanted_end_well(node):
    launchers = [await node.launch() for _ in range(3)]
    await node.arrived(3)
    used = node.arrivals.take(POOL)
    node.arrivals.want(POOL, 1)
    await node.arrived(1)
    assert used is not None and not used.leaving
    left = [launcher for launcher in launchers if launcher.returncode is None]
    async with asyncio.timeout(10):
        while len(left) > 1:
            await asyncio.wait([asyncio.ensure_future(one.wait()) for one in left], return_when="FIRST_COMPLETED")
            left = [launcher for launcher in launchers if launcher.returncode is None]
    assert [one.returncode for one in launchers if one not in left] == [0, 0]


async def test_a_place_that_is_used_is_kept_though_fewer_are_wanted_until_it_is_free(node):
    launcher = await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    node.arrivals.want(POOL, 0)
    await node.launch(REMORA_POOL="8")
    await node.arrived(1, pool=8)
    assert node.arrivals.count(POOL) == 1
    node.arrivals.give_back(place)
    assert await ended(launcher) == 0


async def test_a_launcher_that_is_told_to_go_goes_at_once_if_nothing_is_there(node):
    launcher = await node.launch()
    await node.arrived(1)
    launcher.send_signal(signal.SIGTERM)
    assert await ended(launcher) == 0
    await node.arrived(0)


async def test_one_whose_instance_runs_goes_when_that_has_ended(node):
    launcher = await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    launcher.send_signal(signal.SIGTERM)
    await node.arrived(0)  # none that may be used
    assert place is not None and place.leaving and not place.gone
    node.arrivals.give_back(place)
    assert await ended(launcher) == 0


async def test_an_instance_that_takes_too_long_is_to_end_now(node, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.01)
    launcher = await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    launcher.send_signal(signal.SIGTERM)
    assert place is not None
    await node.until(lambda: place.gone)
    assert launcher.returncode is None  # the memory is still in use
    node.arrivals.give_back(place)
    assert await ended(launcher) == 0


async def test_the_place_of_a_launcher_that_was_killed_is_gone(node):
    launcher = await node.launch()
    await node.arrived(1)
    place = node.arrivals.take(POOL)
    launcher.kill()
    assert place is not None
    await node.until(lambda: place.gone)
    assert node.arrivals.count(POOL) == 0
    node.arrivals.give_back(place)


async def test_an_agent_that_was_killed_is_waited_for(node):
    launcher = await node.launch()
    await node.arrived(1)
    await node.arrivals.close()
    node.arrivals = ReservedInstances(node.path)
    await node.arrivals.open(node.changed.set)
    await node.arrived(1)
    assert launcher.returncode is None


async def test_a_launcher_that_finds_no_agent_can_be_told_to_go(node):
    await node.arrivals.close()
    launcher = await node.launch()
    launcher.send_signal(signal.SIGTERM)
    assert await ended(launcher) in (1, -signal.SIGTERM)  # the signal may come before it listens for it


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\n", b"[]\n", b'{"pool": 7}\n', b"x" * 100_000, b'{"alloc": "' + b"a" * 3000 + b'"}\n']
)
async def test_who_says_nonsense_is_hung_up_on(node, said):
    reader, writer = await asyncio.open_unix_connection(str(node.path))
    with contextlib.suppress(OSError):
        writer.write(said)
        writer.write_eof()
        await writer.drain()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert not node.arrivals.counts()


async def test_other_users_may_not_call(node, monkeypatch):
    assert os.stat(node.path).st_mode & 0o777 == 0o600
    monkeypatch.setattr(module, "_user_of", lambda writer: 12345)
    reader, writer = await asyncio.open_unix_connection(str(node.path))
    assert await reader.read() == b""
    writer.close()


async def test_a_socket_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InstanceError, match="cannot listen for launchers at"):
        await ReservedInstances(tmp_path / "file" / "launch.sock").open(lambda: None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("REMORA_POOL", "7}"), ("REMORA_ALLOC", 'a"b'), ("REMORA_MEMORY_MB", ""), ("REMORA_INSTANCES", "a\nb")],
)
async def test_a_launcher_with_a_bad_environment_says_so(node, name, value):
    launcher = await node.launch(**{name: value})
    _, text = await launcher.communicate()
    assert (launcher.returncode, text.decode()) == (2, f"launcher: {name} is missing or of no use\n")


async def test_a_launcher_that_is_called_wrongly_says_how():
    launcher = await asyncio.create_subprocess_exec(libexec("launcher"), stderr=asyncio.subprocess.PIPE)
    _, text = await launcher.communicate()
    assert (launcher.returncode, text.decode()) == (2, "usage: launcher SOCKET\n")
