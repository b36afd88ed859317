"""Who may use the port of an instance: its own living processes, and what they may ask there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from scheduler.agent.task_api import caller
from scheduler.agent.task_api.caller import Sockets
from scheduler.http.upstream import url_at
from scheduler.providers.linux.user_ranges import FIRST_USER
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig
from tests.support.nodes.containers import doors

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what tasks use here")
ASK = b"GET /jill/stor/secret HTTP/1.1\r\nHost: x\r\n\r\n"
KNOCKER = f"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as peer:
        peer.sendall({ASK!r})
        print(len(peer.recv(100)))
except ConnectionError:
    print(0)
"""


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        running.supervisor.objects["/jill/stor/secret"] = b"secret"
        yield running


async def door_of(agent: Rig) -> tuple[str, int]:
    """Where the machine finds the port of a task that runs from now on."""
    task = agent.map_task(b"")
    agent.grant(agent.spec("curl -sS -o /dev/null ${MANTA_URL}jill/stor/a?url=${MANTA_URL}; sleep 1000"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    (url,) = doors(agent.state_dir, [agent.supervisor.requests[0][1].partition("url=")[2]])
    agent.supervisor.requests.clear()
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return where.hostname, where.port


def knock(address: tuple[str, int], user: int | None) -> subprocess.Popen[bytes]:
    """A process outside of all instances, which prints how many bytes came."""
    command = ["/usr/bin/python3", "-c", KNOCKER, address[0], str(address[1])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, user=user, group=user, extra_groups=[] if user else None)


@needs_curl
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a python3 that all users may run")
async def test_a_process_outside_gets_no_byte_whoever_its_user_is(agent: Rig) -> None:
    address = await door_of(agent)
    users = [None, 65534, FIRST_USER, FIRST_USER + 1000] if os.geteuid() == 0 else [None]
    for user in users:
        process = await asyncio.to_thread(knock, address, user)
        said, _ = await asyncio.to_thread(process.communicate)
        assert said == b"0\n", user
    assert agent.supervisor.requests == []


@needs_curl
async def test_the_instance_of_another_service_with_the_same_users_gets_no_byte(agent: Rig, tmp_path: Path) -> None:
    host, port = await door_of(agent)
    script = f"curl -sS http://{host}:{port}/jill/stor/secret; echo $?"
    async with rig(tmp_path / "other", isolation="namespaces" if agent.isolated else "subreaper") as other:
        report = await other.run(script)
        # Of curl an empty reply, a reset, no connection; or, with a loopback of its own, what its own port says.
        assert other.output(report) in (b"52\n", b"56\n", b"7\n") or b"was not found" in other.output(report)
    assert agent.supervisor.requests == []


TARGETS = ["CONNECT 1:19999", "CONNECT 127.0.0.1:19999", "OPTIONS *", "GET http://127.0.0.1:19999/x"]


@needs_curl
@pytest.mark.parametrize("line", TARGETS)
async def test_a_target_that_is_no_path_is_refused_in_one_sentence(
    agent: Rig, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    script = (
        "exec 9<> /dev/tcp/127.0.0.1/$(p=${MANTA_URL##*:}; echo ${p%/}); "
        f"printf '%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' '{line}' >&9; cat <&9"
    )
    report = await agent.run(script)
    assert agent.output(report).split()[1] == b"400"
    assert agent.supervisor.requests == []
    assert [record for record in caplog.records if record.exc_info] == []


@needs_curl
async def test_a_path_with_two_slashes_stays_a_path_of_the_gateway(agent: Rig) -> None:
    await agent.run("curl -sS --path-as-is ${MANTA_URL}/jill/stor/secret ${MANTA_URL}/127.0.0.1:1/x?a=//b")
    assert [path for _, path, _, _ in agent.supervisor.requests] == ["//jill/stor/secret", "//127.0.0.1:1/x?a=//b"]


@pytest.mark.parametrize("target", ["//evil:1/x", "/@evil:1/", "/x?http://evil/", "/\\evil", "/a#b", "/:80@evil/"])
def test_no_target_changes_the_host_that_is_asked(target: str) -> None:
    url = url_at("http://127.0.0.1", target)
    assert (url.scheme, url.host, url.port) == ("http", "127.0.0.1", 80)


@needs_curl
@pytest.mark.parametrize("reducer", ["x", "-1", "", "128", "9" * 400, "\u00b2"])
async def test_a_reducer_that_is_none_is_refused_and_nothing_is_emitted(agent: Rig, reducer: str) -> None:
    curl = f"curl -sS -o /dev/null -w '%{{http_code}} ' -H $'X-Manta-Reducer: {reducer}'"
    script = (
        f"echo x | {curl} -T - -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}jill/stor/o >&2;"
        f"{curl} -X PUT -H 'X-Manta-Reference: true' ${{MANTA_URL}}jill/stor/o >&2; exit 1"
    )
    if not reducer:
        script = script.replace("X-Manta-Reducer: '", "X-Manta-Reducer;'")
    report = await agent.run(script)
    assert report.stderr is not None
    assert agent.read(report.stderr.blob) == b"409 409 "
    assert [output for output in report.outputs if output.named] == []


@contextlib.contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        yield client, server


@pytest.mark.parametrize("kernel", ["answers", "has no sock_diag"])
def test_the_kernel_is_asked_for_one_socket(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel != "answers":
        monkeypatch.setattr(caller, "NETLINK_SOCK_DIAG", 31)
    sockets = Sockets()
    with connection() as (client, server):
        ours, theirs = server.getsockname(), server.getpeername()
        assert sockets.find(theirs, ours) == (os.geteuid(), os.fstat(client.fileno()).st_ino)
        client.close()
        assert sockets.find(theirs, ours) is None
        assert sockets.find(("127.0.0.1", 1), ours) is None
    sockets.close()
