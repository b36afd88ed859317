"""What tasks reach on a network that is the machine's, in containers and as root: a loopback of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from scheduler.model.wire import AttemptReport, Outcome
from scheduler.providers.linux import loopback
from scheduler.providers.linux.loopback import DOOR, address_of
from tests.support.gate import Gate
from tests.support.nodes.agent_rig import Rig, rig
from tests.support.nodes.containers import CONTAINERD, busy_lackeys, holder_of, needs_containers

pytestmark = [
    pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="tasks have no /usr/bin/python3"),
    pytest.mark.asyncio(loop_scope="module"),
]

LOCALS = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"]
# All that a task may try is a function: TCP, MPTCP, data with the handshake, datagrams with and without a connection.
TALK = """
import socket, sys
from socket import *

def family(address):
    return AF_INET6 if ":" in address else AF_INET

def tcp(address, port, protocol=0):
    with socket(family(address), SOCK_STREAM, protocol) as ours:
        ours.settimeout(5)
        ours.connect((address, port))
        return ours.makefile().readline().strip()

def mptcp(address, port):
    return tcp(address, port, 262)

def fast(address, port):
    with socket(family(address)) as ours:
        ours.sendto(b"x", MSG_FASTOPEN, (address, port))

def udp(address, port):
    with socket(family(address), SOCK_DGRAM) as ours:
        ours.sendto(b"x", (address, port))

def connected(address, port):
    with socket(family(address), SOCK_DGRAM) as ours:
        ours.connect((address, port))
        ours.send(b"x")

def say(what, *arguments):
    try:
        print(what.__name__, arguments, what(*arguments), flush=True)
    except OSError as error:
        print(what.__name__, arguments, "refused:", error.errno, file=sys.stderr)
"""


needs_own_loopback = pytest.mark.skipif(
    os.geteuid() != 0 or loopback.why_none() is not None, reason="processes have no loopback of their own here"
)
KINDS = [
    pytest.param(CONTAINERD, marks=needs_containers),
    pytest.param("namespaces", marks=needs_own_loopback),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("network") / "state", isolation=request.param) as running:
        yield running


def python(script: str) -> str:
    return f"/usr/bin/python3 - <<'END'\n{TALK}\n{script}\nEND"


async def run(agent: Rig, script: str) -> AttemptReport:
    """One task in an instance that is gone afterwards."""
    spec, task = agent.spec(script), agent.map_task(b"")
    agent.grant(spec, task)
    report = await agent.report_of(task)
    agent.release(spec)
    assert report.outcome is Outcome.OK, report
    return report


async def says(agent: Rig, script: str) -> str:
    return agent.output(await run(agent, script)).decode().strip()


def nobody_came(*listeners: socket.socket) -> bool:
    """Did no connection and no datagram arrive? What was sent on loopback is there when the sender is told so."""
    for listener in listeners:
        listener.setblocking(False)
        take: Callable[[], object] = listener.accept
        if listener.type is socket.SOCK_DGRAM:
            take = lambda: listener.recv(1)  # noqa: B023, E731 - called at once
        try:
            take()
        except BlockingIOError:
            continue
        return False
    return True


def datagrams(family: socket.AddressFamily, address: str) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_DGRAM)
    listener.bind((address, 0))
    return listener


async def test_the_door_is_where_it_always_was(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/here"] = b"fine"
    for host in ("localhost", "127.0.0.1"):
        assert await says(agent, f"echo $MANTA_URL; exec 3<> /dev/tcp/{host}/80; {ASK}") == "http://localhost:80/\nfine"


ASK = "printf 'GET /jill/stor/here HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; tail -n 1 <&3"


async def test_a_door_whose_port_is_taken_is_another(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.supervisor.objects["/jill/stor/here"] = b"fine"
    with socket.create_server(("", 0)) as taken:
        monkeypatch.setattr(loopback, "DOOR", taken.getsockname()[1])
        said = await says(agent, f"echo $MANTA_URL; p=${{MANTA_URL##*:}}; exec 3<> /dev/tcp/127.0.0.1/${{p%/}}; {ASK}")
    url, answer = said.splitlines()
    assert url.startswith("http://127.0.0.1:")
    assert answer == "fine"


async def test_nobody_on_the_machines_loopback_hears_a_task(agent: Rig) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        datagrams(socket.AF_INET, "127.0.0.1") as udp,
        datagrams(socket.AF_INET6, "::1") as udp6,
    ):
        ours = [listener.getsockname()[1] for listener in (tcp, tcp6, udp, udp6)]
        script = f"""
for address in {LOCALS}:
    for port in {ours[:2]}:
        for how in tcp, mptcp, fast:
            say(how, address, port)
    for port in {ours[2:]}:
        for how in udp, connected:
            say(how, address, port)
"""
        assert "tcp" not in await says(agent, python(script))
        assert nobody_came(tcp, tcp6, udp, udp6)
        with socket.create_connection(("127.0.0.1", ours[0])):  # had anybody come, we had seen it
            assert not nobody_came(tcp)


async def test_nobody_in_another_instance_hears_a_task(agent: Rig) -> None:
    with Gate() as gate:
        serve = f"""
server = create_server(("", 8000))
gate = create_connection(("127.0.0.1", {gate.port}))
gate.send(b"up\\n")
server.accept()[0].send(b"theirs\\n")
"""
        spec, other = agent.spec(python(serve)), agent.map_task(b"")
        agent.grant(spec, other)
        await asyncio.to_thread(gate.arrivals, 1)
        before = busy_lackeys(agent.state_dir)
        theirs = [address_of(holder_of(pid)) for pid in before]
        script = f"for address in {LOCALS + theirs}:\n    say(tcp, address, 8000)\n"
        assert await says(agent, python(script)) == ""
        with socket.create_connection((theirs[0], 8000)) as known:  # it was there all the time
            assert known.recv(100) == b"theirs\n"
        await agent.report_of(other)
        agent.release(spec)


async def test_at_anothers_door_a_task_meets_its_own(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/here"] = b"fine"
    with Gate() as gate:
        spec, other = agent.spec(gate.wait()), agent.map_task(b"")
        agent.grant(spec, other)
        await asyncio.to_thread(gate.arrivals, 1)
        (theirs,) = (address_of(holder_of(pid)) for pid in busy_lackeys(agent.state_dir))
        emit = (
            f"exec 3<> /dev/tcp/{theirs}/{DOOR}; printf 'PUT /jill/stor/mine HTTP/1.1\\r\\nHost: x\\r\\n"
            "Content-Length: 1\\r\\nX-Manta-Stream: stdout\\r\\nConnection: close\\r\\n\\r\\nx' >&3; cat <&3 >&2"
        )
        report = await run(agent, emit)
        assert [agent.read(each.blob) for each in report.outputs] == [b"x"]
        gate.open()
        assert [agent.read(each.blob) for each in (await agent.report_of(other)).outputs] == [b""]
        agent.release(spec)


async def test_what_a_task_serves_it_finds_at_localhost(agent: Rig) -> None:
    script = """
from threading import Thread

for address in ["127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::"]:
    with socket(family(address)) as server:
        server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        server.bind((address, 8001))
        server.listen()
        assert server.getsockname()[0] in ("127.0.0.1", "::ffff:127.0.0.1"), server.getsockname()
        for named in ["localhost", "127.0.0.1"]:
            Thread(target=lambda: server.accept()[0].sendall(b"mine\\n")).start()
            with create_connection((named, 8001)) as peer:
                assert peer.getpeername()[0] in ("127.0.0.1", "::ffff:127.0.0.1"), peer.getpeername()
                print(peer.makefile().readline().strip())
with socket(AF_INET, SOCK_DGRAM) as server, socket(AF_INET, SOCK_DGRAM) as client:
    server.bind(("127.0.0.1", 8001))
    client.sendto(b"ask", ("127.0.0.1", 8001))
    asked, who = server.recvfrom(10)
    server.sendto(b"answer", who)
    print(asked.decode(), *client.recvfrom(10))
"""
    with socket.create_server(("127.0.0.1", 8001)):  # the port is taken from nobody
        said = (await says(agent, python(script))).splitlines()
    assert said == ["mine"] * 10 + ["ask b'answer' ('127.0.0.1', 8001)"]


async def test_a_server_that_listens_twice_is_found_at_localhost(agent: Rig) -> None:
    script = """
import asyncio

async def serve(reader, writer):
    writer.write(b"mine\\n")
    writer.close()

async def main():
    for host in (None, "localhost"):
        async with await asyncio.start_server(serve, host, 8002):
            reader, writer = await asyncio.open_connection("localhost", 8002)
            print((await reader.read()).decode().strip())
            writer.close()

asyncio.run(main())
"""
    assert await says(agent, python(script)) == "mine\nmine"


async def test_the_network_outside_is_in_reach(agent: Rig) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            route.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network")
        address = route.getsockname()[0]
    with socket.create_server((address, 0)) as outside:
        port = outside.getsockname()[1]
        assert await says(agent, f"exec 3<> /dev/tcp/{address}/{port} && echo connected") == "connected"


@pytest.mark.skipif(
    not loopback.keeps_abstract_sockets_apart(), reason="the kernel cannot keep abstract sockets apart (Linux 6.12)"
)
async def test_abstract_sockets_of_the_machine_are_out_of_reach(agent: Rig) -> None:
    name = f"\0remora-test-{agent.state_dir}"
    script = f"""
def unix(name):
    with socket(AF_UNIX) as ours:
        ours.connect(name)
        return "connected"

say(unix, "\\0" + {name[1:]!r})
with socket(AF_UNIX) as own:
    own.bind("\\0remora-own")
    own.listen()
    say(unix, "\\0remora-own")
"""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        assert await says(agent, python(script)) == r"unix ('\x00remora-own',) connected"
        assert nobody_came(listener)
