"""The agents' own protocol, below `/_agent/v1/`: see `scheduler.model.wire` for what it means.

Agents prove themselves with the secret of the service. A body that does not fit the protocol
is refused whole; an agent that is not known must register again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from pydantic import ValidationError

from scheduler.gateway.auth import agent_is_trusted
from scheduler.gateway.context import Call
from scheduler.http.body import read_body
from scheduler.model import errors, wire
from scheduler.model.errors import WireError
from scheduler.records.database import Connection
from scheduler.supervisor import outputs
from scheduler.supervisor.desk import UnknownAgentError

PREFIX = "/_agent/v1/"
# A report carries at most a few hundred attempts with a few names each.
MAX_BODY = 64 * 1024 * 1024

Serve = Callable[[Call, bytes], Awaitable[web.StreamResponse]]


async def handle(call: Call) -> web.StreamResponse:
    """The entry point of the subtree."""
    if not agent_is_trusted(call.request, call.context.agent_secret):
        raise errors.invalid_agent_secret()
    serve = SERVE.get(call.path.removeprefix(PREFIX)) if call.path.startswith(PREFIX) else None
    if serve is None:
        raise errors.no_such_route(call.path)
    if call.method != "POST":
        raise errors.method_not_allowed(call.method)
    try:
        return await serve(call, await read_body(call.request, MAX_BODY))
    except ValidationError as error:
        raise errors.bad_request(f"not a message of the agents' protocol: {error.errors()[0]['msg']}") from None
    except UnknownAgentError as error:
        raise WireError(409, "UnknownAgent", str(error)) from None


def message(reply: wire.Wire) -> web.Response:
    return web.Response(text=reply.model_dump_json(exclude_none=True), content_type="application/json")


async def register(call: Call, body: bytes) -> web.StreamResponse:
    request = wire.RegisterRequest.model_validate_json(body)
    if request.version != wire.VERSION:
        raise errors.bad_request(f"agent speaks version {request.version}, the service {wire.VERSION}")
    return message(wire.RegisterReply(agent=await call.context.supervisor.desk.register(request)))


async def poll(call: Call, body: bytes) -> web.StreamResponse:
    return message(await call.context.supervisor.desk.poll(wire.PollRequest.model_validate_json(body)))


async def report(call: Call, body: bytes) -> web.StreamResponse:
    await call.context.supervisor.desk.report(wire.ReportRequest.model_validate_json(body))
    return web.Response(status=204)


async def check(call: Call, body: bytes) -> web.StreamResponse:
    asked = wire.OutputCheck.model_validate_json(body)
    owner = await _owner(call, asked.job)
    await call.context.db.write(partial(outputs.check_output, owner=owner, check=asked, now=call.now))
    return web.Response(status=204)


async def adopt(call: Call, body: bytes) -> web.StreamResponse:
    adoption = wire.Adoption.model_validate_json(body)
    owner = await _owner(call, adoption.job)
    work = partial(outputs.adopt, owner=owner, adoption=adoption, now=call.now)
    call.context.blobs.discard(await call.context.db.write(work))
    return web.Response(status=204)


async def _owner(call: Call, job: str) -> str:
    """Who owns a job that still runs: tasks of any other have no business here."""

    def find(c: Connection) -> str | None:
        row = c.one("job_by_uuid", uuid=job)
        return row["owner"] if row is not None and row["state"] != "done" else None

    owner = await call.context.db.read(find)
    if owner is None:
        raise errors.invalid_job_state(job, "done")
    return owner


SERVE: dict[str, Serve] = {"register": register, "poll": poll, "report": report, "check": check, "adopt": adopt}
