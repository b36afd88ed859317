"""An agent in this process, with a real provider and real lackeys, and a supervisor that does what a test says.

The supervisor speaks `scheduler.model.wire` over HTTP on loopback. It hands out what was put into `grant`, `feed`
and `cancel`, remembers every report, and doubles as the gateway for what tasks ask: objects are in a dictionary.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client
from scheduler.agent.gateways import Gateways
from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.log import Log
from scheduler.agent.slots.slots import Slots
from scheduler.agent.task_api.endpoint import Endpoints
from scheduler.agent.task_api.forward import Forwarder
from scheduler.agent.task_api.tunnel import Tunnels
from scheduler.model import wire
from scheduler.objects.blobs import BlobStore
from scheduler.providers.containerd.provider import ContainerdProvider
from scheduler.providers.process import ProcessProvider
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.nodes.containers import CONTAINERD, PROVIDER, lackeys, needs_containers
from tests.support.nodes.fake_supervisor import JOB, SECRET, FakeSupervisor
from tests.support.nodes.lackey_instance import Mode, refusal
from tests.support.variants import variants

NODE = "here"
# What a task runs to say that it has come so far: a request to its endpoint, with nothing but bash.
KNOCK = (
    "port=${MANTA_URL##*:}; exec 9<> /dev/tcp/127.0.0.1/${port%/}; "
    "printf 'GET /jill/stor/here HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n' >&9; "
    "cat <&9 > /dev/null; exec 9>&-"
)
REFUSED = refusal(Mode("namespaces"))
# Every way in which an instance may be isolated here: what a task may rely on holds in all of them.
PROCESSES = [
    pytest.param("namespaces", marks=pytest.mark.skipif(bool(REFUSED), reason=f"the kernel refuses: {REFUSED}")),
    "subreaper",
]
ISOLATIONS = [pytest.param(CONTAINERD, marks=needs_containers)] if PROVIDER == CONTAINERD else PROCESSES
# For what the agent itself does, with whatever isolation: the default run has the first that there is here.
ANY_ISOLATION = ISOLATIONS if REFUSED else variants(ISOLATIONS)


class Rig:
    """One agent and its supervisor."""

    def __init__(
        self,
        state_dir: Path,
        supervisor: FakeSupervisor,
        blobs: BlobStore,
        url: str,
        isolation: str,
        stores: Stores | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.supervisor = supervisor
        self.blobs = blobs
        self.stores = stores or Stores.one(blobs)
        self.url = url
        self.isolated = isolation in ("namespaces", CONTAINERD) or (isolation == "auto" and not REFUSED)
        self.begin(1)

    def begin(self, number: int) -> None:
        """Number pools and tasks from here on."""
        self._pools = itertools.count(number)
        self._tasks = itertools.count(number)

    def blob(self, data: bytes, md5: str | None = None) -> wire.BlobRef:
        """Bytes in the blob store."""
        ref = wire.BlobRef(id=str(uuid.uuid4()), size=len(data), md5=md5)
        if data:
            fd = self.blobs.create()
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                self.blobs.publish(fd, ref.id)
        return ref

    def read(self, ref: wire.BlobRef | None) -> bytes:
        assert ref is not None
        return self.stores.home(ref.node is None).path(ref.id).read_bytes() if ref.size else b""

    def spec(self, script: str, **changes: object) -> wire.PoolSpec:
        values: dict[str, object] = {
            "pool": next(self._pools),
            "job": JOB,
            "login": "jill",
            "phase": 0,
            "blocking": False,
            "exec": script,
            "memory_mb": 1024,
            "disk_gb": 8,
            "last": True,
            "next_reducers": 0,
            "token": "job-token",
        }
        return wire.PoolSpec.model_validate(values | changes)

    def map_task(self, data: bytes | wire.BlobRef, name: str | None = None) -> wire.TaskLease:
        number = next(self._tasks)
        name = name or f"/jill/stor/in{number}.txt"
        blob = data if isinstance(data, wire.BlobRef) else self.blob(data)
        return wire.TaskLease(task=number, uuid=str(uuid.uuid4()), attempt=1, base=name, input=name, blob=blob)

    def reduce_task(self, reducer: int = 0) -> wire.TaskLease:
        return wire.TaskLease(
            task=next(self._tasks), uuid=str(uuid.uuid4()), attempt=1, base="/reduce", part=reducer, fed=True
        )

    def grant(self, spec: wire.PoolSpec, *tasks: wire.TaskLease, instances: int = 1) -> None:
        grant = wire.PoolGrant(pool=spec.pool, instances=instances, spec=spec, tasks=list(tasks))
        self.supervisor.replies.put_nowait({"pools": [grant]})

    def feed(self, task: wire.TaskLease, *blobs: wire.BlobRef, first: int = 1, end: bool = False) -> None:
        sources = [wire.FeedSource(seq=first + index, blob=blob) for index, blob in enumerate(blobs)]
        page = wire.FeedPage(task=task.task, attempt=task.attempt, sources=sources, end=end)
        self.supervisor.replies.put_nowait({"feeds": [page]})

    async def log(self, task: wire.TaskLease, stream: str, offset: int = 0) -> bytes | None:
        """A page of what a running task has printed; None if it does not run."""
        page = await self._asked("logs", wire.TaskLogRequest, task, stream=stream, offset=offset)
        return None if page.data is None else base64.b64decode(page.data)

    async def shell(self, task: wire.TaskLease, session: str) -> str | None:
        """Ask for a shell beside a running task; why there is none, or None."""
        return (await self._asked("shells", wire.TaskShellRequest, task, session=session)).refused

    async def _asked(
        self, what: str, kind: type[wire.Wire], task: wire.TaskLease, **about: str | int
    ) -> wire.RunningAnswer:
        """The answer to a request about a running task."""
        number = len(self.supervisor.answers) + 1
        request = kind.model_validate({"number": number, "task": task.task, "attempt": task.attempt, **about})
        self.supervisor.replies.put_nowait({what: [request]})
        await self.until(lambda supervisor: len(supervisor.answers) == number)
        answer = self.supervisor.answers[-1]
        assert answer.number == number
        return answer

    def cancel(self, task: wire.TaskLease) -> None:
        self.supervisor.replies.put_nowait({"cancel": [wire.AttemptId(task=task.task, attempt=task.attempt)]})

    def release(self, spec: wire.PoolSpec) -> None:
        self.supervisor.replies.put_nowait({"release": [spec.pool]})

    async def report_of(self, task: wire.TaskLease) -> wire.AttemptReport:
        return (await self.reports_of(task))[0]

    async def reports_of(self, *tasks: wire.TaskLease) -> list[wire.AttemptReport]:
        reports = self.supervisor.reports
        async with asyncio.timeout(PATIENCE_SECONDS), self.supervisor.reported:
            await self.supervisor.reported.wait_for(lambda: all((t.task, t.attempt) in reports for t in tasks))
        return [reports[t.task, t.attempt] for t in tasks]

    async def run(self, script: str, data: bytes = b"", **changes: object) -> wire.AttemptReport:
        """One map task in a pool of its own."""
        task = self.map_task(data)
        self.grant(self.spec(script, **changes), task)
        return await self.report_of(task)

    async def until(self, condition: Callable[[FakeSupervisor], bool]) -> None:
        """Wait until something that the agent or a task sent makes `condition` true."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.supervisor.reported:
            await self.supervisor.reported.wait_for(lambda: condition(self.supervisor))

    def output(self, report: wire.AttemptReport, index: int = 0) -> bytes:
        return self.read(report.outputs[index].blob)

    def inside(self, path: str) -> str:
        """Where tasks of the first instance find what is in its root, in `/manta`, or among the tools."""
        if self.isolated:
            return path
        work = str(self.state_dir / "instances" / "0")
        places = {"/manta": f"{work}/input", "/.remora/bin": str(self.state_dir / "tools"), "/root": f"{work}/root"}
        top = next(place for place in places if path.startswith(place))
        return places[top] + path.removeprefix(top)

    def instances(self) -> list[str]:
        return sorted(path.name for path in (self.state_dir / "instances").iterdir())


def lackey_of(parent: int, state_dir: Path) -> int:
    """The only lackey among the children of an agent, or in a container of its."""
    found = lackeys(state_dir)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            if name == "lackey" and int(rest.split()[1]) == parent:
                found.append(int(entry.name))
    return min(found)


@contextlib.asynccontextmanager
async def rig(
    state_dir: Path,
    isolation: str = "auto",
    groups: bool = True,
    objects: Path | None = None,
    node: str = NODE,
    unknown: Collection[str] = (),
) -> AsyncIterator[Rig]:
    """Start all of it; at the end nothing is left.

    `objects`: a directory shared with others, of whom it is one. `unknown`: blobs that no record needs.
    """
    state_dir.mkdir(mode=0o700, exist_ok=True)
    blobs = BlobStore(state_dir / "blobs" if objects is None else objects)
    stores = Stores.one(blobs) if objects is None else Stores.of_node(node, objects, state_dir)
    supervisor = FakeSupervisor(unknown=set(unknown))
    runner = web.AppRunner(supervisor.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    chosen = isolation if isolation != "auto" else PROVIDER
    provider = ContainerdProvider(state_dir) if chosen == CONTAINERD else ProcessProvider(state_dir, isolation, groups)
    await provider.prepare()
    async with aiohttp.ClientSession() as session:
        gateways = Gateways([url])
        endpoints = Endpoints(Forwarder(gateways, session, stores), Tunnels(gateways, session), node)
        client = Client(url, lambda: SECRET, session)
        request = wire.RegisterRequest(node=node, slots=2, memory_mb=8192, provider="process")

        slots = Slots()

        async def live() -> None:
            while True:
                await SupervisorLink(request, stores, provider, client, endpoints, Log(), slots).run()

        task = asyncio.create_task(live())
        try:
            yield Rig(state_dir, supervisor, blobs, url, isolation, stores)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await slots.close()
            await endpoints.close()
            await provider.close()
            await runner.cleanup()
    assert os.listdir(state_dir / "instances") == []
    if objects is not None:
        await stores.close()
    blobs.close()
