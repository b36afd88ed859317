"""Addresses at which a cloud hands out a machine's credentials, and the machine's loopback: who reaches them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from scheduler.providers.linux.cgroups import remove_everywhere
from scheduler.providers.linux.loopback import Reach, give_loopback, why_none

WHY_NOT = "only root may put programs before sockets" if os.geteuid() != 0 else why_none()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=f"NO ADDRESS IS REFUSED: {WHY_NOT}")

# Tries each address, where it is to be refused in all ways and else in one that sends nothing; says which errors came.
TRY = """
import errno, json, socket, sys
def error(way, address, port):
    kind = socket.SOCK_STREAM if way == "stream" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as ours:
        ours.setblocking(False)
        try:
            if way == "send": ours.sendto(b"x", (address, port))
            else: ours.connect((address, port))
        except OSError as refused:
            return errno.errorcode[refused.errno]
    return "none"
for line in sys.stdin:
    ways, addresses, port = json.loads(line)
    print(json.dumps([error(way, address, port) for address in addresses for way in ways]), flush=True)
"""
ALL, SILENT = ("stream", "connect", "send"), ("connect",)
METADATA = [
    *("169.254.169.254", "169.254.0.1", "169.254.255.255", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("::ffff:169.254.169.254", "::ffff:100.100.100.200", "fe80::1", "febf::1", "fd00:ec2::254", "fd20:ce::254"),
]


class Tried:
    """A process whose sockets are those of an instance."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-I", "-c", TRY], stdin=pipe, stdout=pipe, text=True)
        self.group = f"/remora-test-{os.getpid()}/{self.process.pid}"

    def errors(self, addresses: list[str], port: int, ways: tuple[str, ...] = SILENT) -> set[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([ways, addresses, port]), file=self.process.stdin, flush=True)
        return set(json.loads(self.process.stdout.readline()))


@pytest_asyncio.fixture
async def tried() -> AsyncIterator[Tried]:
    one = Tried()
    yield one
    one.process.communicate()
    await remove_everywhere(one.group)
    await remove_everywhere(os.path.dirname(one.group))


async def test_a_task_does_not_reach_the_metadata_of_a_cloud(tried: Tried) -> None:
    give_loopback(tried.process.pid, tried.group)
    assert tried.errors(METADATA, 80, ALL) == {"EPERM"}
    assert tried.errors(METADATA, 53 << 8, ALL) == {"EPERM"}


async def test_who_resolves_names_is_left_alone_and_so_are_other_networks(tried: Tried) -> None:
    give_loopback(tried.process.pid, tried.group)
    assert "EPERM" not in tried.errors(METADATA, 53)
    others = ["169.253.255.255", "169.255.0.1", "100.100.100.201", "192.0.2.1", "fec0::1", "fd00:ec2::253"]
    assert "EPERM" not in tried.errors(others, 80)


async def test_an_operator_may_allow_either_or_both(tried: Tried) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reached = {}
        for reach in (Reach(), Reach(loopback=True), Reach(link_local=True), Reach(True, True)):
            other = Tried()
            give_loopback(other.process.pid, other.group, reach)
            link = "EPERM" not in other.errors(["169.254.169.254"], 80)
            other.errors(["127.0.0.1"], port, ("stream",))
            server.setblocking(False)
            try:
                server.accept()[0].close()
                reached[reach] = (True, link)
            except BlockingIOError:
                reached[reach] = (False, link)
            other.process.communicate()
            await remove_everywhere(other.group)
    assert reached == {reach: (reach.loopback, reach.link_local) for reach in reached}
