"""A small Nomad on the loopback: jobs, evaluations, allocations, nodes, events, and faults.

It places a batch job as the real one does (`_evaluate`): what has ended counts until the job has a new
version, what was lost is placed again, what finds no room is a blocked evaluation. With `run` its
allocations are processes, by raw_exec; else a test says what becomes of them (`finish`).

Whether its answers are those of the real one is checked against recordings (`nomad_scenarios`).

Faults are switched on for requests whose method and path match, for so many of them:

    nomad.fail(r"POST /v1/job/.*", 500, "No cluster leader", times=2)   also 403, 429, 503 ...
    nomad.fail(r"GET .*", HANG)           never answers
    nomad.fail(r".*", HALF_CLOSE)         hangs up in the middle of an answer
    nomad.fail(r"POST .*", DEAF)          does what it is told, and hangs up before it says so
    nomad.drop_streams(); nomad.go_back(); nomad.lose("n1"); nomad.drain("n1")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HANG, HALF_CLOSE, DEAF = "hang", "half-close", "deaf"
Json = dict[str, Any]
TEXT = "text/plain"
EVENTS = 100
KILLED = -signal.SIGKILL


@dataclass
class Node:
    name: str
    memory_mb: int
    disk_mb: int = 100_000
    eligible: bool = True
    draining: bool = False
    status: str = "ready"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def stub(self) -> Json:
        return {
            "ID": self.id,
            "Name": self.name,
            "Status": self.status,
            "SchedulingEligibility": "eligible" if self.eligible else "ineligible",
            "Drain": self.draining,
            "Version": "2.0.6",
            "Datacenter": "dc1",
            "NodePool": "default",
            "NodeClass": "",
        }


@dataclass
class Fault:
    pattern: re.Pattern[str]
    kind: int | str
    text: str
    times: int


class FakeNomad:
    """Start with `async with`. `log` has "METHOD PATH" of all requests, `placed` counts allocations ever made."""

    def __init__(self, *nodes: Node, run: bool = False, version: str = "2.0.6") -> None:
        self.nodes = {node.name: node for node in nodes}
        self.jobs: dict[str, Json] = {}
        self.allocations: list[Json] = []
        self.evaluations: list[Json] = []
        self.variables: dict[str, Json] = {}
        self.log: list[str] = []
        self.registered: list[str] = []  # ids of jobs, each time one was made
        self.index = 10
        self.url = ""
        self.program: str | None = None  # in place of what is to be run
        self.tls: ssl.SSLContext | None = None  # set before it starts
        self._run = run
        self._version = version
        self._faults: list[Fault] = []
        self._events: deque[Json] = deque(maxlen=EVENTS)
        self._streams: set[asyncio.Queue[Json | None]] = set()
        self._changed = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ever: dict[str, Json] = {}  # jobs that had allocations, as they were last

    # -- what a test does --------------------------------------------------------------------------

    async def __aenter__(self) -> FakeNomad:
        app = web.Application(middlewares=[self._with_faults])
        app.add_routes([web.route("*", "/{path:.*}", self._route)])
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop_streams()
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(one.wait() for one in self._processes.values()), return_exceptions=True)
        await self._runner.cleanup()

    def fail(self, pattern: str, kind: int | str, text: str = "", times: int = 1_000_000) -> None:
        self._faults.append(Fault(re.compile(pattern), kind, text, times))

    def heal(self) -> None:
        self._faults.clear()

    def drop_streams(self) -> None:
        for stream in list(self._streams):
            stream.put_nowait(None)

    def go_back(self, to: int = 1) -> None:
        """As a server that was restored: its index is lower than it was."""
        self.index = to
        self._events.clear()

    def of(self, job: str, *statuses: str) -> list[Json]:
        """Allocations of a job, of these states."""
        return [
            one for one in self.allocations if one["JobID"] == job and (not statuses or one["ClientStatus"] in statuses)
        ]

    def live(self, job: str = "") -> list[Json]:
        return [one for one in self.allocations if one["JobID"].startswith(job) and _is_live(one)]

    def finish(self, allocation: Json, status: str = "complete") -> None:
        """It ended."""
        allocation["ClientStatus"] = status
        self._tell("Allocation", "AllocationUpdated", allocation["ID"], allocation)
        self._evaluate(allocation["JobID"], "alloc-failure" if status == "failed" else "alloc-stop")

    def lose(self, name: str) -> None:
        """A node is down."""
        node = self.nodes[name]
        node.status = "down"
        self._tell("Node", "NodeStreamEvent", node.id, node.stub())
        for one in [one for one in self.allocations if one["NodeName"] == name and _is_live(one)]:
            one["DesiredStatus"] = "stop"
            self._kill(one, signal.SIGKILL)
            self.finish(one, "lost")

    def drain(self, name: str, on: bool = True) -> None:
        node = self.nodes[name]
        node.eligible = not on
        self._tell("Node", "NodeDrain", node.id, node.stub())
        self._evaluate_all()

    def preempt(self, allocation: Json) -> None:
        """Somebody more important has its place."""
        allocation["DesiredStatus"], allocation["PreemptedByAllocation"] = "evict", str(uuid.uuid4())
        self._stop(allocation)

    def forget(self, allocation: Json) -> None:
        """It is lost, though its node is not."""
        allocation["DesiredStatus"] = "stop"
        self._kill(allocation, signal.SIGKILL)
        self.finish(allocation, "lost")

    def kill(self, allocation: Json) -> None:
        """Its process ends, whatever it says."""
        self._kill(allocation, signal.SIGKILL)

    def grow(self, name: str, memory_mb: int) -> None:
        """A node has more room."""
        self.nodes[name].memory_mb = memory_mb
        self._evaluate_all()

    def store(self, job: Json) -> None:
        """A job that was there before."""
        self._store(job, None)

    def last_template(self) -> str:
        """Of which cluster the jobs here were."""
        return str(next(job["Meta"]["remora_cluster"] for job in reversed(self._ever.values())))

    # -- requests ----------------------------------------------------------------------------------

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        said = f"{request.method} {request.path}"
        self.log.append(said)
        for fault in self._faults:
            if fault.times and fault.pattern.fullmatch(said):
                fault.times -= 1
                return await self._fault(fault, request, handler)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _fault(self, fault: Fault, request: web.Request, handler: Any) -> web.StreamResponse:
        if isinstance(fault.kind, int):
            return web.Response(status=fault.kind, text=fault.text)
        if fault.kind == HANG:
            await asyncio.Event().wait()
        if fault.kind == DEAF:
            await handler(request)
        if fault.kind == HALF_CLOSE:
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"half":')
        assert request.transport is not None
        request.transport.close()
        raise ConnectionResetError

    async def _route(self, request: web.Request) -> web.StreamResponse:
        for methods, pattern, handler in ROUTES:
            if match := re.fullmatch(pattern, request.path):
                if request.method not in methods.split():
                    return web.Response(status=405, text="Invalid method")
                answer: web.StreamResponse = await handler(self, request, *match.groups())
                return answer
        return web.Response(status=404, body=b"")

    async def _self(self, request: web.Request) -> web.Response:
        version = {
            "BuildDate": None,
            "Revision": "0",
            "Version": self._version,
            "VersionMetadata": "",
            "VersionPrerelease": "",
        }
        return self._json({"config": {"Version": version}})

    async def _leader(self, request: web.Request) -> web.Response:
        return self._json("127.0.0.1:4647")

    async def _nodes(self, request: web.Request) -> web.Response:
        return self._json([node.stub() for node in self.nodes.values()])

    async def _namespaces(self, request: web.Request) -> web.Response:
        return self._json([{"Name": "default", "Description": ""}])

    def _node(self, wanted: str) -> Node | None:
        return next((node for node in self.nodes.values() if node.id == wanted), None)

    async def _one_node(self, request: web.Request, wanted: str) -> web.Response:
        node = self._node(wanted)
        return web.Response(status=404, text="node not found") if node is None else self._json(node.stub())

    async def _node_allocations(self, request: web.Request, wanted: str) -> web.Response:
        return self._json([one for one in self.allocations if one["NodeID"] == wanted])

    async def _drain(self, request: web.Request, wanted: str) -> web.Response:
        node, body = self._node(wanted), await request.json()
        if node is None:
            return web.Response(status=404, text="node not found")
        self.drain(node.name, on=bool(body.get("DrainSpec")) or not body.get("MarkEligible"))
        return self._json(self._node_reply())

    async def _eligibility(self, request: web.Request, wanted: str) -> web.Response:
        node = self._node(wanted)
        if node is None:
            return web.Response(status=404, text="node not found")
        self.drain(node.name, on=(await request.json())["Eligibility"] != "eligible")
        return self._json(self._node_reply())

    def _node_reply(self) -> Json:
        return {"EvalCreateIndex": 0, "EvalIDs": None, "Index": self.index, "NodeModifyIndex": self.index}

    async def _variable(self, request: web.Request, path: str) -> web.Response:
        had = self.variables.get(path)
        if request.method == "GET":
            return web.Response(status=404, text="variable not found") if had is None else self._json(had)
        if "cas" in request.query and int(request.query["cas"]) != (had or {}).get("ModifyIndex", 0):
            return self._json(had or {}, 409)
        self.index += 1
        body = await request.json()
        self.variables[path] = {"Items": body["Items"], "Path": path, "Namespace": "default", "ModifyIndex": self.index}
        return self._json(self.variables[path])

    async def _list(self, request: web.Request) -> web.Response:
        if "index" in request.query:
            await self._wait(int(request.query["index"]), request.query.get("wait", "60s"))
        wanted = request.query.get("prefix", "")
        with_meta = "meta" in request.query
        return self._json(
            [self._job_stub(job, with_meta) for job in self.jobs.values() if job["ID"].startswith(wanted)]
        )

    async def _wait(self, index: int, wait: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(wait.rstrip("s"))):
                while self.index <= index:
                    self._changed.clear()
                    await self._changed.wait()

    def _job_stub(self, job: Json, with_meta: bool) -> Json:
        names = (
            "CreateIndex",
            "Datacenters",
            "ID",
            "JobModifyIndex",
            "ModifyIndex",
            "Name",
            "Namespace",
            "NodePool",
            "Priority",
            "Status",
            "Stop",
            "Type",
        )
        return {name: job[name] for name in names} | ({"Meta": job["Meta"]} if with_meta else {})

    async def _register(self, request: web.Request, job_id: str = "") -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400, text="invalid character 'n' looking for beginning of object key string")
        job = body["Job"]
        if " " in job["ID"]:
            return web.Response(status=500, text="1 error occurred:\n\t* Job ID contains a space\n\n")
        had = self.jobs.get(job["ID"])
        if body.get("EnforceIndex") and (why := _conflict(body.get("JobModifyIndex", 0), had)):
            return web.Response(status=500, text=why)
        if had is None:
            self.registered.append(job["ID"])
        self._store(job, had)
        return self._json({**self._evaluate(job["ID"], "job-register"), "Warnings": ""})

    def _store(self, job: Json, had: Json | None) -> None:
        self.index += 1
        defaults = {"Stop": False, "Status": "pending", "Meta": None, "Constraints": None}
        self.jobs[job["ID"]] = {**defaults, **job} | {
            "CreateIndex": had["CreateIndex"] if had else self.index,
            "ModifyIndex": self.index,
            "JobModifyIndex": self.index,
            "Version": had["Version"] + 1 if had else 0,
        }
        self._tell("Job", "JobRegistered", job["ID"], self.jobs[job["ID"]])

    async def _job(self, request: web.Request, job_id: str) -> web.Response:
        if request.method == "POST":
            return await self._register(request, job_id)
        if request.method == "DELETE":
            return self._deregister(job_id, request.query.get("purge", "").lower() == "true")
        if job_id not in self.jobs:
            return web.Response(status=404, text="job not found")
        return self._json(self.jobs[job_id])

    def _deregister(self, job_id: str, purge: bool) -> web.Response:
        job = self.jobs.get(job_id)
        if job is None:
            return self._json({**_evaluated("", 0), "VolumeEvalID": "", "VolumeEvalIndex": 0})
        self.index += 1
        job["Stop"] = True
        reply = self._evaluate(job_id, "job-deregister")
        if purge:
            del self.jobs[job_id]
            self._tell("Job", "JobDeregistered", job_id, job)
        return self._json({**reply, "VolumeEvalID": "", "VolumeEvalIndex": 0})

    async def _plan(self, request: web.Request, job_id: str) -> web.Response:
        return self._json(
            {
                "Annotations": None,
                "CreatedEvals": None,
                "Diff": {"ID": job_id, "Type": "Added"},
                "FailedTGAllocs": None,
                "JobModifyIndex": 0,
                "NextPeriodicLaunch": None,
                "Warnings": "",
            }
        )

    async def _scale(self, request: web.Request, job_id: str) -> web.Response:
        body = await request.json()
        job = self.jobs.get(job_id)
        if job is None:
            return web.Response(status=404, text=f'job "{job_id}" not found')
        group = job["TaskGroups"][0]
        if body["Target"]["Group"] != group["Name"]:
            told = body["Target"]["Group"]
            return web.Response(status=400, text=f'task group "{told}" specified for scaling does not exist in job')
        if body.get("JobModifyIndex") is not None and (why := _conflict(body["JobModifyIndex"], job)):
            return web.Response(status=500, text=why)
        self._store({**job, "TaskGroups": [{**group, "Count": body["Count"]}]}, job)
        return self._json({**self._evaluate(job_id, "job-scaling"), "Warnings": ""})

    async def _job_allocations(self, request: web.Request, job_id: str) -> web.Response:
        return self._json(self.of(job_id))

    async def _job_evaluations(self, request: web.Request, job_id: str) -> web.Response:
        return self._json([one for one in reversed(self.evaluations) if one["JobID"] == job_id])

    async def _evaluation(self, request: web.Request, wanted: str) -> web.Response:
        found = next((one for one in self.evaluations if one["ID"] == wanted), None)
        return web.Response(status=404, text="eval not found") if found is None else self._json(found)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"{}\n")
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        for frame in self._events:
            if frame["Index"] >= int(request.query.get("index", 0)):
                queue.put_nowait(frame)
        self._streams.add(queue)
        try:
            while (frame := await queue.get()) is not None:
                await response.write(json.dumps(frame).encode() + b"\n")
        finally:
            self._streams.discard(queue)
        return response

    def _json(self, body: Any, status: int = 200) -> web.Response:
        headers = {"X-Nomad-Index": str(self.index), "X-Nomad-KnownLeader": "true", "X-Nomad-LastContact": "0"}
        return web.json_response(body, status=status, headers=headers)

    # -- scheduling --------------------------------------------------------------------------------

    def _tell(self, topic: str, kind: str, key: str, payload: Json) -> None:
        self.index += 1
        event = {
            "Topic": topic,
            "Type": kind,
            "Key": key,
            "Namespace": "default",
            "FilterKeys": None,
            "Index": self.index,
            "Payload": {topic: payload},
        }
        frame = {"Index": self.index, "Events": [event]}
        self._events.append(frame)
        for stream in self._streams:
            stream.put_nowait(frame)
        self._changed.set()

    def _evaluate_all(self) -> None:
        for job in list(self.jobs):
            self._evaluate(job, "node-update")

    def _evaluate(self, job_id: str, why: str) -> Json:
        """Bring a job's allocations to its count; the reply to whoever has asked for that."""
        job = self.jobs.get(job_id)
        if job is None:
            return _evaluated("", 0)
        group = job["TaskGroups"][0]
        evaluation = self._evaluation_of(job, why, "complete")
        live = [one for one in self.of(job_id) if _is_live(one)]
        for one in live:
            one["JobVersion"] = job["Version"]
        now = [one for one in self.of(job_id) if one["JobVersion"] == job["Version"] and one["DesiredStatus"] == "run"]
        ended = sum(one["ClientStatus"] in ("complete", "failed") for one in now)
        wanted = 0 if job["Stop"] else max(0, group["Count"] - ended)
        for one in live[wanted:]:
            one["DesiredStatus"] = "stop"
            self._stop(one)
        reasons: dict[str, Json] = {}
        placed = 0
        while len(live) + placed < wanted and (node := self._room(job, group, reasons)) is not None:
            self._place(job, group, node, evaluation["ID"])
            placed += 1
        for one in self.evaluations:
            if one["JobID"] == job_id and one["Status"] == "blocked":
                one["Status"] = "canceled"
        self.evaluations.append(evaluation)
        if len(live) + placed < wanted:
            failed = {group["Name"]: _metrics(reasons, len(self.nodes))}
            blocked = self._evaluation_of(job, "queued-allocs", "blocked") | {"FailedTGAllocs": failed}
            evaluation |= {"BlockedEval": blocked["ID"], "FailedTGAllocs": failed}
            self.evaluations.append(blocked)
            self._tell("Evaluation", "EvaluationUpdated", blocked["ID"], blocked)
        self._tell("Evaluation", "EvaluationUpdated", evaluation["ID"], evaluation)
        return _evaluated(evaluation["ID"], job["JobModifyIndex"])

    def _evaluation_of(self, job: Json, why: str, status: str) -> Json:
        self.index += 1
        return {
            "CreateIndex": self.index,
            "CreateTime": time.time_ns(),
            "ID": str(uuid.uuid4()),
            "JobID": job["ID"],
            "JobModifyIndex": job["JobModifyIndex"],
            "ModifyIndex": self.index,
            "ModifyTime": time.time_ns(),
            "Namespace": "default",
            "Priority": job["Priority"],
            "SnapshotIndex": self.index,
            "Status": status,
            "TriggeredBy": why,
            "Type": "batch",
        }

    def _room(self, job: Json, group: Json, reasons: dict[str, Json]) -> Node | None:
        """The emptiest node that can take one more."""
        able = []
        for node in self.nodes.values():
            if node.status != "ready" or not node.eligible:
                continue
            if why := self._why_not(node, job, group):
                reasons[node.name] = why
            else:
                able.append(node)
        return min(able, key=lambda node: (len(self._on(node)), node.name), default=None)

    def _why_not(self, node: Node, job: Json, group: Json) -> Json | None:
        for constraint in job["Constraints"] or []:
            if constraint["LTarget"] == "${node.unique.name}" and constraint["RTarget"] != node.name:
                return {"ConstraintFiltered": f"${{node.unique.name}} = {constraint['RTarget']}"}
        here = [self._sizes(self._ever[one["JobID"]]) for one in self._on(node)]
        memory, disk = self._sizes(job)
        if sum(size[0] for size in here) + memory > node.memory_mb:
            return {"DimensionExhausted": "memory"}
        if sum(size[1] for size in here) + disk > node.disk_mb:
            return {"DimensionExhausted": "disk"}
        return None

    def _sizes(self, job: Json) -> tuple[int, int]:
        group = job["TaskGroups"][0]
        return group["Tasks"][0]["Resources"]["MemoryMB"], group["EphemeralDisk"]["SizeMB"]

    def _on(self, node: Node) -> list[Json]:
        return [one for one in self.allocations if one["NodeName"] == node.name and _is_live(one)]

    def _place(self, job: Json, group: Json, node: Node, evaluation: str) -> None:
        self.index += 1
        self._ever[job["ID"]] = job
        taken = {one["Name"] for one in self.of(job["ID"]) if _is_live(one)}
        name = next(name for n in itertools.count() if (name := f"{job['ID']}.{group['Name']}[{n}]") not in taken)
        allocation = {
            "ID": str(uuid.uuid4()),
            "Name": name,
            "JobID": job["ID"],
            "JobType": "batch",
            "JobVersion": job["Version"],
            "EvalID": evaluation,
            "TaskGroup": group["Name"],
            "Namespace": "default",
            "NodeID": node.id,
            "NodeName": node.name,
            "ClientStatus": "pending",
            "ClientDescription": "",
            "DesiredStatus": "run",
            "DesiredDescription": "",
            "CreateIndex": self.index,
            "CreateTime": time.time_ns(),
            "ModifyIndex": self.index,
            "ModifyTime": time.time_ns(),
            "PreemptedByAllocation": "",
            "NextAllocation": "",
            "FollowupEvalID": "",
            "TaskStates": None,
        }
        self.allocations.append(allocation)
        self._tell("Allocation", "PlanResult", allocation["ID"], allocation)
        self._spawn(self._work(allocation, group["Tasks"][0]))

    async def _work(self, allocation: Json, task: Json) -> None:
        """A client's part."""
        await asyncio.sleep(0)
        if not _is_live(allocation):
            return
        if not self._run:
            self._set(allocation, "running")
            return
        environment = {
            name: value.replace("${NOMAD_ALLOC_ID}", allocation["ID"]) for name, value in task["Env"].items()
        }
        command = [self.program or task["Config"]["command"], *task["Config"]["args"]]
        arguments = [word.replace("${node.unique.name}", allocation["NodeName"]) for word in command]
        try:
            process = await asyncio.create_subprocess_exec(*arguments, env={"PATH": os.defpath, **environment})
        except OSError:
            self.finish(allocation, "failed")
            return
        self._processes[allocation["ID"]] = process
        if _is_live(allocation):
            self._set(allocation, "running")
        else:
            self._kill(allocation, signal.SIGTERM)
        code = await process.wait()
        if allocation["ClientStatus"] in ("running", "pending"):
            self.finish(allocation, "complete" if code == 0 or allocation["DesiredStatus"] != "run" else "failed")

    def _set(self, allocation: Json, status: str) -> None:
        allocation["ClientStatus"] = status
        self._tell("Allocation", "AllocationUpdated", allocation["ID"], allocation)

    def _stop(self, allocation: Json) -> None:
        """Have a process end; a test's allocation has ended at once."""
        self._tell("Allocation", "AllocationUpdateDesiredStatus", allocation["ID"], allocation)
        if not self._kill(allocation, signal.SIGTERM) and not self._run:
            self.finish(allocation, "complete")

    def _kill(self, allocation: Json, number: int) -> bool:
        process = self._processes.get(allocation["ID"])
        if process is None or process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return True

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.contextmanager
def in_thread(*nodes: Node, run: bool = True) -> Iterator[Remote]:
    """A fake Nomad on a loop of its own, for tests that wait themselves."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-nomad")
    thread.start()
    remote = Remote(FakeNomad(*nodes, run=run), loop)
    try:
        remote.wait(remote.nomad.__aenter__())
        yield remote
    finally:
        remote.wait(remote.nomad.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Remote:
    nomad: FakeNomad
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, work: Callable[[FakeNomad], Any]) -> Any:
        """Do something on its loop."""

        async def run() -> Any:
            return work(self.nomad)

        return self.wait(run())


def _is_live(allocation: Json) -> bool:
    return allocation["DesiredStatus"] == "run" and allocation["ClientStatus"] in ("pending", "running")


def _conflict(index: int, had: Json | None) -> str | None:
    """What the real one says if a job is not at that index."""
    prefix = f"Enforcing job modify index {index}"
    if index == 0:
        return f"{prefix}: job already exists" if had else None
    if had is None:
        return f"{prefix}: job does not exist"
    if had["JobModifyIndex"] != index:
        return f"{prefix}: job exists with conflicting job modify index: {had['JobModifyIndex']}"
    return None


def _evaluated(evaluation: str, index: int) -> Json:
    return {
        "EvalCreateIndex": index,
        "EvalID": evaluation,
        "Index": index,
        "JobModifyIndex": index,
        "KnownLeader": False,
        "LastContact": 0,
    }


def _metrics(reasons: dict[str, Json], nodes: int) -> Json:
    exhausted = {why["DimensionExhausted"]: 1 for why in reasons.values() if "DimensionExhausted" in why}
    filtered = {why["ConstraintFiltered"]: 1 for why in reasons.values() if "ConstraintFiltered" in why}
    return {
        "NodesEvaluated": len(reasons),
        "NodesExhausted": len(exhausted),
        "NodesFiltered": len(filtered),
        "NodesInPool": nodes,
        "NodesAvailable": {"dc1": nodes},
        "DimensionExhausted": exhausted or None,
        "ConstraintFiltered": filtered or None,
        "QuotaExhausted": None,
    }


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/agent/self", FakeNomad._self),
    ("GET", "/v1/status/leader", FakeNomad._leader),
    ("GET", "/v1/nodes", FakeNomad._nodes),
    ("GET", "/v1/namespaces", FakeNomad._namespaces),
    ("GET", "/v1/node/([^/]+)", FakeNomad._one_node),
    ("GET", "/v1/node/([^/]+)/allocations", FakeNomad._node_allocations),
    ("POST PUT", "/v1/node/([^/]+)/drain", FakeNomad._drain),
    ("POST PUT", "/v1/node/([^/]+)/eligibility", FakeNomad._eligibility),
    ("GET PUT", "/v1/var/(.+)", FakeNomad._variable),
    ("GET", "/v1/event/stream", FakeNomad._stream),
    ("GET", "/v1/evaluation/([^/]+)", FakeNomad._evaluation),
    (
        "GET POST PUT",
        "/v1/jobs",
        lambda self, request: (self._list if request.method == "GET" else self._register)(request),
    ),
    ("POST PUT", "/v1/job/([^/]+)/plan", FakeNomad._plan),
    ("POST PUT", "/v1/job/([^/]+)/scale", FakeNomad._scale),
    ("GET", "/v1/job/([^/]+)/allocations", FakeNomad._job_allocations),
    ("GET", "/v1/job/([^/]+)/evaluations", FakeNomad._job_evaluations),
    ("GET POST PUT DELETE", "/v1/job/([^/]+)", FakeNomad._job),
]
