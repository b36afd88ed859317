"""A supervisor that does what a test says, and the gateway for what tasks ask, over HTTP."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

from aiohttp import web

from scheduler.model import wire

JOB = "6a3c2ad2-6f22-4b7b-8e0e-0e4d1f3c8f11"
SECRET = "test.secret"  # the credential of node "test"
BROKEN = "/jill/stor/broken"  # the gateway breaks off in the middle of this object


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
    adopts: bool = False  # what an agent has when it registers goes on
    attempts: list[wire.AttemptId] = field(default_factory=list)  # that it had,
    pools: list[int] = field(default_factory=list)  # of these pools
    unavailable: int = 0  # so many reports of attempts that have ended are answered with 503
    speechless: int = 0  # so many checks and adoptions are answered with 503
    held: asyncio.Event | None = None  # what tasks ask of the gateway waits for this
    pending: int = 0  # so many requests of tasks are in work
    report_requests: int = 0
    poll_seconds: float = wire.POLL_SECONDS
    known: list[wire.Supervisor] = field(default_factory=lambda: [wire.Supervisor(id=1, url="")])
    swept: list[str] = field(default_factory=list)  # blobs that it was asked about
    unknown: set[str] = field(default_factory=set)  # of these, those that nobody wants
    answers: list[wire.RunningAnswer] = field(default_factory=list)  # to requests about running tasks
    hangs: bool = False  # beats and registrations are not answered

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        for name in ("supervisors", "register", "poll", "report", "beat", "check", "adopt", "sweep", "answer"):
            app.router.add_post(f"/_agent/v1/{name}", getattr(self, name))
        app.router.add_route("*", "/{path:.*}", self.storage)
        return app

    async def supervisors(self, request: web.Request) -> web.Response:
        return answer(wire.Supervisors(supervisors=self.known))

    async def beat(self, request: web.Request) -> web.Response:
        while self.hangs:
            await asyncio.sleep(0.05)
        return refuse(409, "UnknownAgent", "who are you?") if self.forgotten else web.Response(status=204)

    async def answer(self, request: web.Request) -> web.Response:
        async with self.reported:
            self.answers.append(wire.RunningReply.model_validate_json(await request.read()).answer)
            self.reported.notify_all()
        return web.Response(status=204)

    async def sweep(self, request: web.Request) -> web.Response:
        body = wire.SweepRequest.model_validate_json(await request.read())
        self.swept += body.blobs
        return answer(wire.SweepReply(unknown=[*self.unknown, str(uuid.uuid4())]))

    async def register(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        body = wire.RegisterRequest.model_validate_json(await request.read())
        self.attempts, self.pools = body.held, body.pools
        self.registrations += 1
        self.forgotten = False
        async with self.reported:
            self.reported.notify_all()
        return answer(wire.RegisterReply(agent=self.registrations, adopts=self.adopts))

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
        if self.unavailable and body.attempts:
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
