"""Too much at the port of an instance: by strangers, and by the instance's own task."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from scheduler.agent.attempts import attempt
from scheduler.agent.task_api import instance_port
from scheduler.agent.task_api.instance_port import MAX_CONNECTIONS
from scheduler.model.wire import Outcome
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig
from tests.support.nodes.containers import doors

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what tasks use here")
REQUESTS = b"GET /jill/stor/none HTTP/1.1\r\nHost: x\r\n\r\n" * 50
# What a turn of the event loop may take while it is flooded: with all of the flood in one turn it is seconds.
LONGEST_TURN = 1.0
FLOOD = """
import os, socket, threading
port = int(os.environ["MANTA_URL"].split(":")[2].strip("/"))
def flood():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.settimeout(0.5)
                while True:
                    peer.sendall(REQUESTS)
                    peer.recv(1 << 16)
        except OSError: pass
for _ in range(100): threading.Thread(target=flood).start()
with socket.create_connection(("127.0.0.1", port)) as peer:
    peer.sendall(b"GET /jill/stor/flood HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    peer.recv(1)
""".replace("REQUESTS", repr(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" * 50))


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


class Turns:
    """How long the running event loop computed in one turn at most, however long it waited for a processor."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.thread_time() - before)

    def stop(self) -> float:
        self._watching.cancel()
        return self.longest


@contextlib.contextmanager
def strangers(address: tuple[str, int], number: int, says: bytes = b"") -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            peer = stack.enter_context(socket.socket())
            peer.setblocking(False)
            peer.connect_ex(address)
            with contextlib.suppress(OSError):
                peer.send(says)
        yield


@pytest.mark.parametrize("says", [b"", b"GET / HT", REQUESTS], ids=["nothing", "half a header", "50 requests"])
async def test_strangers_take_no_place_and_no_time_of_the_instance(agent: Rig, says: bytes) -> None:
    knock = "curl -sS -o /dev/null ${MANTA_URL}jill/stor/a?url=${MANTA_URL}"
    again = "until curl -sSf ${MANTA_URL}jill/stor/go > /dev/null 2>&1; do sleep 0.1; done; echo through"
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"{knock}; {again}"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    (url,) = doors(agent.state_dir, [agent.supervisor.requests[0][1].partition("url=")[2]])
    where = urlsplit(url)
    turns = Turns()
    with strangers((str(where.hostname), where.port or 0), MAX_CONNECTIONS + 50, says):
        agent.supervisor.objects["/jill/stor/go"] = b"x"
        assert agent.output(await agent.report_of(task)) == b"through\n"
    assert turns.stop() < LONGEST_TURN


async def test_a_connection_without_a_request_is_closed(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_port, "REQUEST_SECONDS", 0.2)
    script = (
        "port=$(tr -dc 0-9 <<< ${MANTA_URL##*:}); exec 9<> /dev/tcp/127.0.0.1/$port 8<> /dev/tcp/127.0.0.1/$port; "
        "printf 'GET / HTTP' >&9; cat <&9; cat <&8; true"
    )
    assert (await agent.run(script)).outcome is Outcome.OK


async def test_a_task_with_too_many_connections_has_its_own_refused(agent: Rig) -> None:
    script = (
        "port=$(p=${MANTA_URL##*:}; echo ${p%/}); "
        f"for n in {{1..{MAX_CONNECTIONS + 10}}}; do exec {{c}}<> /dev/tcp/127.0.0.1/$port; done; "
        "curl -sS ${MANTA_URL}jill/stor/none; echo $?"
    )
    assert agent.output(await agent.run(script)) in (b"52\n", b"56\n")  # of curl: an empty reply, or a reset
    assert (await agent.run("curl -sS -o /dev/null ${MANTA_URL}jill/stor/none; echo $?")).outcome is Outcome.OK


async def test_a_flood_from_inside_does_not_keep_the_tasks_of_others_waiting(agent: Rig) -> None:
    spec = agent.spec(f"exec /usr/bin/python3 - <<'END'\n{FLOOD}\nEND")
    agent.grant(spec, agent.map_task(b""))
    await agent.until(lambda supervisor: bool(supervisor.requests))
    turns = Turns()
    for _ in range(3):
        await is_served(agent)
    assert turns.stop() < LONGEST_TURN
    agent.release(spec)


async def is_served(agent: Rig) -> None:
    report = await agent.run("curl -sS ${MANTA_URL}jill/stor/none > /dev/null; echo x | mpipe")
    assert report.outcome is Outcome.OK


@pytest.mark.parametrize("limit", ["number", "bytes"])
async def test_what_a_task_emits_is_bounded_and_the_task_is_told(
    agent: Rig, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "/jill/stor/" + "x" * 1000
    if limit == "number":
        monkeypatch.setattr(attempt, "MAX_EMITTED", 10)
        sentence = "a task may have at most 10 outputs"
    else:
        monkeypatch.setattr(attempt, "MAX_EMITTED_BYTES", 10 * len(name))
        sentence = "a task may have at most 0 MiB of names and headers of outputs"
    script = f"""
        exec >&2
        for n in {{1..10}}; do mcat {name} || exit 2; done
        mcat {name}; echo x | mpipe {name}; echo x | msplit -n 2 || echo no
        curl -sS -X PUT -H 'X-Manta-Reference: true' ${{MANTA_URL}}{name[1:]}; echo
        echo x | curl -sS -T - -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}{name[1:]}
        exit 1
    """
    report = await agent.run(script)
    assert report.stderr is not None
    said = agent.read(report.stderr.blob).decode()
    assert said.count(sentence) >= 4, said
    assert len(report.outputs) <= 12


def test_the_places_for_connections_leave_descriptors_for_tasks() -> None:
    bounds = instance_port.Bounds()
    assert bounds.most <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
    bounds.count = bounds.most
    assert bounds.allow(0)
    assert not bounds.allow(instance_port.FEW)
