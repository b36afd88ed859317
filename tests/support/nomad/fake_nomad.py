"""A small Nomad on the loopback: the HTTP of `fake_scheduler`, and faults.

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
import json
import re
import ssl
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.nomad.fake_scheduler import FakeScheduler, Json, Node, evaluated

HANG, HALF_CLOSE, DEAF = "hang", "half-close", "deaf"


@dataclass
class Fault:
    pattern: re.Pattern[str]
    kind: int | str
    text: str
    times: int


class FakeNomad(FakeScheduler):
    """Start with `async with`. `log` has "METHOD PATH" of all requests."""

    def __init__(self, *nodes: Node, run: bool = False, version: str = "2.0.6") -> None:
        super().__init__(*nodes, run=run)
        self.variables: dict[str, Json] = {}
        self.log: list[str] = []
        self.asked: list[str] = []  # namespaces of all requests
        self.registered: list[str] = []  # ids of jobs, each time one was made
        self.url = ""
        self.tls: ssl.SSLContext | None = None  # set before it starts
        self._version = version
        self._faults: list[Fault] = []

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
        await self._end()
        await self._runner.cleanup()

    def fail(self, pattern: str, kind: int | str, text: str = "", times: int = 1_000_000) -> None:
        self._faults.append(Fault(re.compile(pattern), kind, text, times))

    def heal(self) -> None:
        self._faults.clear()

    def drop_streams(self) -> None:
        for stream in list(self._streams):
            stream.put_nowait(None)

    # -- requests ----------------------------------------------------------------------------------

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        said = f"{request.method} {request.path}"
        self.log.append(said)
        self.asked.append(request.query.get("namespace", ""))
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
        return self._json([node.stub("resources" in request.query) for node in self.nodes.values()])

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
            return self._json({**evaluated("", 0), "VolumeEvalID": "", "VolumeEvalIndex": 0})
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
