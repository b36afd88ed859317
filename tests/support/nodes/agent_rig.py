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
from dataclasses import dataclass, field
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
from tests.support.nodes.lackey_instance import Mode, refusal
from tests.support.variants import variants

JOB = "6a3c2ad2-6f22-4b7b-8e0e-0e4d1f3c8f11"
SECRET = "test.secret"  # the credential of node "test"
NODE = "here"
BROKEN = "/jill/stor/broken"  # the gateway breaks off in the middle of this object
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


@dataclass
class FakeSupervisor:
    """Also the gateway: `objects` is its namespace, `requests` what tasks asked of it."""

    replies: asyncio.Queue[dict[str, object]] = field(default_factory=asyncio.Queue)
    reports: dict[tuple[int, int], wire.AttemptReport] = field(default_factory=dict)
    states: list[wire.AgentState] = field(default_factory=lambda: [wire.AgentState(seen=0)])
    reported: asyncio.Condition = field(default_factory=asyncio.Condition)
    adopted: list[wire.Adoption] = field(default_factory=list)
    checked: list[wire.OutputCheck] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)  # directories that do not exist
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    began: list[wire.AttemptId] = field(default_factory=list)  # attempts that are said to run
    registrations: int = 0
    forgotten: bool = False
    unavailable: int = 0  # so many reports are answered with 503
    speechless: int = 0  # so many checks and adoptions are answered with 503
    held: asyncio.Event | None = None  # what tasks ask of the gateway waits for this
    pending: int = 0  # so many requests of tasks are in work
    report_requests: int = 0
    poll_seconds: float = wire.POLL_SECONDS
    known: list[wire.Supervisor] = field(default_factory=lambda: [wire.Supervisor(id=1, url="")])
    swept: list[str] = field(default_factory=list)  # blobs that it was asked about
    unknown: set[str] = field(default_factory=set)  # of these, those that nobody wants
    logs: list[wire.TaskLogPage] = field(default_factory=list)  # what running tasks have printed
    hangs: bool = False  # beats and registrations are not answered

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        for name in ("supervisors", "register", "poll", "report", "beat", "check", "adopt", "sweep", "log"):
            app.router.add_post(f"/_agent/v1/{name}", getattr(self, name))
        app.router.add_route("*", "/{path:.*}", self.storage)
        return app

    async def supervisors(self, request: web.Request) -> web.Response:
        return answer(wire.Supervisors(supervisors=self.known))

    async def beat(self, request: web.Request) -> web.Response:
        while self.hangs:
            await asyncio.sleep(0.05)
        return refuse(409, "UnknownAgent", "who are you?") if self.forgotten else web.Response(status=204)

    async def log(self, request: web.Request) -> web.Response:
        async with self.reported:
            self.logs.append(wire.TaskLogReply.model_validate_json(await request.read()).page)
            self.reported.notify_all()
        return web.Response(status=204)

    async def sweep(self, request: web.Request) -> web.Response:
        body = wire.SweepRequest.model_validate_json(await request.read())
        self.swept += body.blobs
        return answer(wire.SweepReply(unknown=[*self.unknown, str(uuid.uuid4())]))

    async def register(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        wire.RegisterRequest.model_validate_json(await request.read())
        self.registrations += 1
        self.forgotten = False
        async with self.reported:
            self.reported.notify_all()
        return answer(wire.RegisterReply(agent=self.registrations))

    async def poll(self, request: web.Request) -> web.Response:
        body = wire.PollRequest.model_validate_json(await request.read())
        async with self.reported:
            self.states.append(body.state)
            self.reported.notify_all()
        if self.forgotten:
            return refuse(409, "UnknownAgent", "who are you?")
        number = body.state.seen + 1
        try:
            parts = await asyncio.wait_for(self.replies.get(), self.poll_seconds)
        except TimeoutError:
            parts = {}
        return answer(wire.PollReply(number=number, **parts))

    async def report(self, request: web.Request) -> web.Response:
        body = wire.ReportRequest.model_validate_json(await request.read())
        self.report_requests += 1
        if self.unavailable:
            self.unavailable -= 1
            return refuse(503, "ServiceUnavailable", "not now")
        async with self.reported:
            self.states.append(body.state)
            self.began += body.began
            for attempt in body.attempts:
                self.reports[attempt.task, attempt.attempt] = attempt
            self.reported.notify_all()
        return answer(wire.ReportReply())

    async def check(self, request: web.Request) -> web.Response:
        body = wire.OutputCheck.model_validate_json(await request.read())
        if self.speechless:
            self.speechless -= 1
            return refuse(503, "ServiceUnavailable", "not now")
        self.checked.append(body)
        parent = body.name.rpartition("/")[0]
        if parent in self.missing and not body.parents:
            return refuse(404, "DirectoryDoesNotExist", f"{parent} does not exist")
        return web.Response(status=204)

    async def adopt(self, request: web.Request) -> web.Response:
        body = wire.Adoption.model_validate_json(await request.read())
        if self.speechless:
            self.speechless -= 1
            return refuse(503, "ServiceUnavailable", "not now")
        async with self.reported:
            self.adopted.append(body)
            self.reported.notify_all()
        return web.Response(status=204)

    async def storage(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with self.reported:
            self.requests.append((request.method, request.raw_path, dict(request.headers), body))
            self.pending += 1
            self.reported.notify_all()
        if self.held is not None:
            await self.held.wait()
        self.pending -= 1
        if request.path == BROKEN:
            return await break_off(request)
        if request.method == "PUT":
            self.objects[request.path] = body
            return web.Response(status=204)
        if request.path not in self.objects:
            return refuse(404, "ResourceNotFound", f"{request.path} was not found")
        return web.Response(body=self.objects[request.path])


async def break_off(request: web.Request) -> web.StreamResponse:
    """A reply that ends in its middle."""
    reply = web.StreamResponse(headers={"Content-Length": "100"})
    await reply.prepare(request)
    await reply.write(b"a tenth of")
    assert request.transport is not None
    request.transport.close()
    return reply


def answer(message: wire.Wire) -> web.Response:
    return web.Response(text=message.model_dump_json(), content_type="application/json")


def refuse(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


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
        number = len(self.supervisor.logs) + 1
        asked = {"number": number, "task": task.task, "attempt": task.attempt, "stream": stream, "offset": offset}
        self.supervisor.replies.put_nowait({"logs": [wire.TaskLogRequest.model_validate(asked)]})
        await self.until(lambda supervisor: len(supervisor.logs) == number)
        page = self.supervisor.logs[-1]
        assert page.number == number
        return None if page.data is None else base64.b64decode(page.data)

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
