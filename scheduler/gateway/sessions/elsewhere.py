"""Sessions among several gateways: which one has a session, and the way to it.

A session is where its master is connected. Where agents know one address for several gateways, the slave may come to
another one. So a session has a record with the URL of its gateway, made before the master is accepted and removed with
the session, and any gateway passes a slave on to the one that is recorded. The same record refuses a second master.

    a master comes, and the record names     then
    no gateway                               the session begins here
    this gateway                             the record is of an earlier start: it begins here
    another, which has the session           refused
    another, which does not, or is gone      the record is replaced, and it begins here

A request that was passed on says so by a header, and is not passed on again: two records cannot send it round.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.gateway.sessions.session import End, Place
from scheduler.http.upstream import CONNECT_SECONDS, connect, relay, url_at
from scheduler.http.websocket import accept
from scheduler.model import errors
from scheduler.records.database import Connection, execute, select

log = logging.getLogger(__name__)
PASSED_ON = "X-Remora-Passed-On"
# Headers of one connection; the other has its own.
OF_CONNECTION = frozenset(["connection", "upgrade", "content-length", "transfer-encoding"])
UPGRADE = {"Connection": "upgrade", "Upgrade": "websocket"}
GONE = 404
UNREACHABLE = (aiohttp.ClientError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Holder:
    """The record of a session: the URL of its gateway, and the id of the session there."""

    gateway: str
    id: str


def was_passed_on(call: Call) -> bool:
    return PASSED_ON in call.request.headers


@contextlib.asynccontextmanager
async def recorded(call: Call, job: int, place: Place, session: str) -> AsyncIterator[None]:
    """Record that the session of this id is here, as long as the block lasts. Raises WireError if another gateway has
    one at its place. `job` is the number of the job's record.

    No record is made if this gateway does not know its own address.
    """
    address, db = call.context.sessions.address, call.context.db
    if address is None:
        yield
        return
    mine = Holder(address, session)
    other = await db.write(lambda c: begin(c, job, place.task, mine))
    if other is not None and (other.gateway == address or not await has_session(call, other)):
        log.info("a session's gateway is gone", extra={"job": place.job, "gateway": other.gateway})
        other = await db.write(lambda c: begin(c, job, place.task, mine, instead_of=other))
    if other is not None:
        raise errors.session_taken(str(place), End.MASTER.value)
    try:
        yield
    finally:
        await db.write(execute("end_session", job=job, task=place.task, holder=mine.id))


def begin(c: Connection, job: int, task: int, mine: Holder, instead_of: Holder | None = None) -> Holder | None:
    """Record a session, unless there is a record other than `instead_of`, which is returned."""
    row = c.one("session_at", job=job, task=task)
    if row is not None:
        found = Holder(row["gateway"], row["holder"])
        if found == mine:
            return None  # the transaction runs again
        if found != instead_of:
            return found
        c.run("end_session", job=job, task=task, holder=found.id)
    c.run("begin_session", job=job, task=task, gateway=mine.gateway, holder=mine.id)
    return None


async def has_session(call: Call, other: Holder) -> bool:
    """Whether another gateway has the session that is recorded there: it refuses a second master."""
    url = url_at(other.gateway, call.request.raw_path)
    timeout = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(url, headers=passed_headers(call) | UPGRADE, ssl=call.context.sessions.tls) as reply,
        ):
            return reply.status != GONE
    except UNREACHABLE:
        return False


async def pass_on(call: Call, job: int, place: Place) -> web.WebSocketResponse | None:
    """Serve a slave by the gateway that has the session, until it ends; None if no other has it. Raises WireError."""
    rows = await call.context.db.read(select("session_at", job=job, task=place.task))
    if not rows or rows[0]["gateway"] == call.context.sessions.address:
        return None
    gateway = rows[0]["gateway"]
    async with aiohttp.ClientSession() as client:
        try:
            outer = await connect(client, gateway, call.request, passed_headers(call), call.context.sessions.tls)
        except aiohttp.WSServerHandshakeError as refusal:
            raise refused(place, refusal.status) from None
        except UNREACHABLE as error:
            log.warning("a session's gateway cannot be reached", extra={"gateway": gateway, "why": str(error)})
            raise errors.session_not_found(place.job) from None
        async with outer:
            inner = await accept(call.request)
            log.info("a session is passed on", extra={"job": place.job, "gateway": gateway})
            await relay(inner, outer)
            return inner


def passed_headers(call: Call) -> dict[str, str]:
    """The headers of a request, for another gateway: with its proof, and the host that was signed."""
    kept = {name: value for name, value in call.request.headers.items() if name.lower() not in OF_CONNECTION}
    return kept | {PASSED_ON: "true"}


def refused(place: Place, status: int) -> errors.WireError:
    taken = errors.session_taken(str(place), End.SLAVE.value)
    return taken if status == taken.status else errors.session_not_found(place.job)
