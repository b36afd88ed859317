"""The agents' protocol, below `/_agent/v1/`; `scheduler.model.wire` defines its messages.

Every request comes from a node, which its credential proves (`node_credentials`), and is served for
that node only: a registration in its own name, polls and reports of its own agent, outputs of
jobs whose tasks it was leased. A body that does not fit the protocol is refused whole; an agent
that is not known must register again.

A gateway without a supervisor answers only the agents' question which supervisors are live.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from pydantic import ValidationError

from scheduler.gateway.context import Call
from scheduler.http.body import read_body
from scheduler.http.limits import trust
from scheduler.model import errors, wire
from scheduler.model.errors import WireError
from scheduler.objects.sweep import unwanted
from scheduler.records.database import Connection, select
from scheduler.records.fences import Fenced
from scheduler.supervisor.agents.presence import UnknownAgentError
from scheduler.supervisor.tasks import outputs
from scheduler.tls.names import AGENT, comes_from

PREFIX = "/_agent/v1/"

Serve = Callable[[Call, str, bytes], Awaitable[web.StreamResponse]]


async def handle(call: Call) -> web.StreamResponse:
    """Serve a request below `/_agent/v1/`."""
    node = await call.context.nodes.node_of(call.request.headers.get("Authorization", ""))
    if node is None:
        raise errors.invalid_agent_secret()
    if not comes_from(call.request.transport, AGENT, node):
        raise errors.other_certificate(node)
    trust(call.request)
    serve = SERVE.get(call.path.removeprefix(PREFIX)) if call.path.startswith(PREFIX) else None
    if serve is None:
        raise errors.no_such_route(call.path)
    if call.method != "POST":
        raise errors.method_not_allowed(call.method)
    body = await read_body(call.request, wire.MAX_BYTES)
    if excess := wire.excess(body):
        raise errors.bad_request(f"a message of {excess}")
    try:
        return await serve(call, node, body)
    except ValidationError as error:
        why = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise errors.bad_request(f"not a message of the agents' protocol: {why}") from None
    except (UnknownAgentError, Fenced) as error:  # fenced: the supervisor that it registered with is dead
        raise WireError(409, "UnknownAgent", str(error)) from None


def message(reply: wire.Wire) -> web.Response:
    return web.Response(text=reply.model_dump_json(exclude_none=True), content_type="application/json")


# Discovery and registration.


async def supervisors(call: Call, _node: str, _body: bytes) -> web.StreamResponse:
    living = await call.context.db.read(select("living_supervisors"))
    known = [wire.Supervisor(id=row["id"], url=row["url"]) for row in living]
    return message(wire.Supervisors(supervisors=known, revoked=await call.context.nodes.revoked()))


async def register(call: Call, node: str, body: bytes) -> web.StreamResponse:
    """Register an agent. Refuses another version of the protocol, and the name of another node."""
    version = wire.Versioned.model_validate_json(body).version
    if version != wire.VERSION:
        raise errors.bad_request(f"the agent speaks version {version} of the protocol, this service {wire.VERSION}")
    request = wire.RegisterRequest.model_validate_json(body)
    if request.node != node:
        raise errors.other_node(node, f"node {request.node}")
    return message(wire.RegisterReply(agent=await call.agents.register(request), adopts=True))


# Requests of a registered agent.


async def poll(call: Call, node: str, body: bytes) -> web.StreamResponse:
    request = wire.PollRequest.model_validate_json(body)
    _require_own(call, node, request.agent)
    return message(await call.agents.poll(request))


async def report(call: Call, node: str, body: bytes) -> web.StreamResponse:
    request = wire.ReportRequest.model_validate_json(body)
    _require_own(call, node, request.agent)
    return message(await call.agents.report(request))


async def beat(call: Call, node: str, body: bytes) -> web.StreamResponse:
    """Renew an agent's leases, or end them at once if it leaves."""
    said = wire.AgentBeat.model_validate_json(body)
    _require_own(call, node, said.agent)
    agents = call.agents
    if said.leaves:
        await agents.leave(said.agent)
    else:
        agents.beat(said.agent)
    return web.Response(status=204)


async def sweep(call: Call, node: str, body: bytes) -> web.StreamResponse:
    request = wire.SweepRequest.model_validate_json(body)
    _require_own(call, node, request.agent)
    find = partial(unwanted, node=node, blobs=request.blobs)
    return message(wire.SweepReply(unknown=await call.context.db.read(find)))


async def answer(call: Call, node: str, body: bytes) -> web.StreamResponse:
    said = wire.RunningReply.model_validate_json(body)
    _require_own(call, node, said.agent)
    call.agents.take_answer(said.agent, said.answer)
    return web.Response(status=204)


def _require_own(call: Call, node: str, agent: int) -> None:
    """Raises WireError for the agent of another node, UnknownAgentError for one that is not registered."""
    if call.agents.node_of(agent) != node:
        raise errors.other_node(node, f"agent {agent}")


# Requests of tasks, sent by the agent that runs them.


async def check(call: Call, node: str, body: bytes) -> web.StreamResponse:
    asked = wire.OutputCheck.model_validate_json(body)
    owner = await _owner(call, node, asked.job)
    await call.context.db.write(partial(outputs.check_output, owner=owner, check=asked, now=call.now))
    return web.Response(status=204)


async def adopt(call: Call, node: str, body: bytes) -> web.StreamResponse:
    """Name a blob that a task has written to the store, as an object of the job's owner."""
    adoption = wire.Adoption.model_validate_json(body)
    owner = await _owner(call, node, adoption.job)
    blob = adoption.blob
    absent = await call.agents.absent([blob] if blob.size else [])
    work = partial(outputs.adopt, owner=owner, adoption=adoption, now=call.now, absent=absent)
    call.context.blobs.discard(await call.context.db.write(work))
    return web.Response(status=204)


async def _owner(call: Call, node: str, job: str) -> str:
    """The login that owns a running job which has tasks on this node. Raises WireError for any other job."""

    def find(c: Connection) -> str | None:
        row = c.one("job_by_uuid", uuid=job)
        return row["owner"] if row is not None and row["state"] != "done" else None

    owner = await call.context.db.read(find)
    if owner is None:
        raise errors.invalid_job_state(job, "done")
    if not call.agents.runs_on(node, job):
        if call.agents.may_run_on(node):
            raise errors.service_unavailable("the job is being taken up by this supervisor")
        raise errors.other_node(node, f"job {job}, of which it was given no task")
    return owner


SERVE: dict[str, Serve] = {
    "supervisors": supervisors,
    "register": register,
    "poll": poll,
    "report": report,
    "beat": beat,
    "sweep": sweep,
    "answer": answer,
    "check": check,
    "adopt": adopt,
}
