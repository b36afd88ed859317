"""A task sends the agent a descriptor that blocks whoever drops it.

The descriptor is a TCP socket with SO_LINGER: it is connected to a port that does not read, so its last
close(2) waits for a minute. The agent runs on the event loop of the test: if that stands still, so does the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from datapath import passing
from scheduler.agent.slots.reserved_instances import ReservedInstances
from scheduler.agent.task_api import tool_channel
from scheduler.model.wire import Outcome
from tests.support.eventually import eventually
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig

pytestmark = pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs python3 in the instance")
LINGER = 60  # seconds that the close waits
PROLOGUE = f"""
import os, socket, struct, sys, threading, time, urllib.request
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(os.environ.get("REMORA_SOCKET", "/.remora/agent.sock"))
    return s
def hostile():
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    sink = listener.accept()[0]
    sender.setblocking(False)
    try:
        while True: sender.send(bytes(1 << 16))
    except BlockingIOError: pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, {LINGER}))
    return sender, sink
def packet(kind, payload=b""): return struct.pack("=IIQ", kind, 0, 0) + payload
OPEN = packet(32, struct.pack("=IIiIII", 1, 0, -1, 1, 0, 0))
COMMIT = packet(33)
def send(s, data, fd):
    try:
        s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))])
        os.close(fd)  # before the agent does: whoever closes it last has to wait
        told.append("sent")
    except PermissionError: told.append("refused")
    except OSError: told.append("gone")
def throw(s, *packets):
    for each in packets:
        sender, sink = hostile()
        kept.append(sink)
        thread = threading.Thread(target=send, args=(s, each, sender.detach()), daemon=True)
        thread.start()
        thread.join(1)
kept, told = [], []
"""
EPILOGUE = """
try: urllib.request.urlopen(os.environ["MANTA_URL"] + "jill/stor/" + "-".join(told))
except OSError: pass
time.sleep(1000)
"""
ATTACKS = {
    "with OPEN": "s = connect(); throw(s, OPEN)",
    "with a packet that is none": "s = connect(); throw(s, b'short')",
    "after the answer to a refused packet": "s = connect(); s.send(b'short'); time.sleep(0.2); throw(s, OPEN)",
    "with COMMIT": "s = connect(); s.send(OPEN); s.recv(99); throw(s, COMMIT, COMMIT, OPEN)",
    "in a queue that is not read": "s = connect(); s.send(OPEN); s.recv(99); throw(s, OPEN); s.close()",
    "in connections that nobody accepts": "all = [connect() for _ in range(40)]\nfor s in all[25:]: throw(s, OPEN)",
}


def bars_descriptors() -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return passing.bar_descriptors(sock)


@pytest.fixture(params=["by the kernel", "by a thread"])
def barred(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the kernel keeps descriptors out; if not, it knows no such option."""
    if request.param == "by the kernel":
        if not bars_descriptors():
            pytest.skip("this kernel has no SO_PASSRIGHTS")
        return True
    tool_channel.allow_nudges()
    monkeypatch.setattr(passing, "SO_PASSRIGHTS", 0x7FFF)
    return False


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(barred: bool, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_descriptor_that_blocks_does_not_stop_the_agent(agent: Rig, barred: bool, attack: str) -> None:
    spec = agent.spec(f"/usr/bin/python3 - <<'END'\n{PROLOGUE}{attack}\n{EPILOGUE}\nEND")
    agent.grant(spec, agent.map_task(b""))
    await agent.until(lambda supervisor: bool(supervisor.requests))
    told = agent.supervisor.requests[0][1].rpartition("/")[2]
    assert set(filter(None, told.split("-"))) <= {"refused" if barred else "sent", "gone"}
    assert (await agent.run("echo fine | mpipe")).outcome is Outcome.OK
    agent.release(spec)
    await eventually(lambda: "0" not in agent.instances(), "the instance is gone", LINGER / 2)


async def test_a_thread_that_is_stuck_is_freed_when_its_instance_ends() -> None:
    tool_channel.allow_nudges()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    channel = tool_channel.Ported(passing.Channel(ours.detach()))
    with theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        with listener.accept()[0]:  # which never reads
            fill(sender)
            socket.send_fds(theirs, [b"packet"], [sender.fileno()])
            sender.close()
            receiving = asyncio.ensure_future(channel.receive())
            await asyncio.sleep(0.2)
            assert not receiving.done()
            receiving.cancel()
            closing = asyncio.ensure_future(channel.close(lambda: over))
            over = False
            await asyncio.sleep(0.2)
            assert not closing.done()
            closing.cancel()
            over = True
            await eventually(lambda: not tool_channel.ENDING, "its thread is freed", LINGER / 2)


def fill(sender: socket.socket) -> None:
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(1 << 16))
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))


async def test_the_socket_for_launchers_takes_no_descriptors(tmp_path: Path) -> None:
    if not bars_descriptors():
        pytest.skip("this kernel has no SO_PASSRIGHTS")
    arrivals = ReservedInstances(tmp_path / "launch.sock")
    await arrivals.open(lambda: None)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "launch.sock"))
            with pytest.raises(PermissionError):
                socket.send_fds(client, [b"{"], [0])
    finally:
        await arrivals.close()
