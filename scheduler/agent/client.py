"""The agent's side of the protocol of `scheduler.model.wire`, over HTTP.

A request has one of three outcomes: the reply; a `WireError`, with which the supervisor refuses
*this request* (an output's directory does not exist); and a transient failure of the supervisor
itself, `UnavailableError`. Callers that may not fail retry transient failures (`patiently`). One
refusal concerns the whole agent: `UnknownAgentError` says that the supervisor has given our tasks
to other agents, so that nothing we hold is valid any more.

A supervisor may also accept a request and never answer it: it is stopped, cut off, or hung. So every
request has a timeout; heartbeats have the shortest. The kernel closes connections on which nothing
comes back (`connector`), before they are used again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from scheduler.agent.transport import ANYWHERE, Reach
from scheduler.common.backoff import Backoff
from scheduler.model import wire
from scheduler.model.errors import AGENT_REFUSED, WireError

T = TypeVar("T")
M = TypeVar("M", bound=wire.Wire)
PREFIX = "/_agent/v1/"
REQUEST_SECONDS = 60.0
CONNECT_SECONDS = 5.0
# The time after which a dead connection is given up; it has to survive an interruption of five seconds.
DEAD_SECONDS = 10.0
# The timeout of a registration, which may be repeated at any time: the newest counts.
REGISTER_SECONDS = 15.0
# The timeout of requests that need no transaction; a poll adds the time for which it hangs.
BRIEF_SECONDS = 3.0
POLL_MARGIN = 5.0
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
# A task's request is retried only a few times: the number of tries, and the seconds between them.
TRIES = 3
PAUSE = 0.5
UNKNOWN = (401, 409)
INSUFFICIENT_STORAGE = 507
OF_AGENT = ("poll", "report", "beat", "sweep", "answer")


class UnavailableError(Exception):
    """No usable answer came; the request may be retried later."""


class FullError(UnavailableError):
    """The other side has no disk space for its records."""


class UnknownAgentError(Exception):
    """The supervisor no longer knows this agent, which has to register anew."""


class Client:
    """Requests to one supervisor, or gateway; `credential` returns the credential of our node."""

    def __init__(
        self, url: str, credential: Callable[[], str], session: aiohttp.ClientSession, reach: Reach = ANYWHERE
    ) -> None:
        self.url = url.rstrip("/")
        self._refused = reach.refuses(self.url)
        self._session = session
        self._credential = credential

    async def supervisors(self) -> wire.Supervisors:
        """The live supervisors; one without a URL is the one that answered."""
        answer = parse(wire.Supervisors, await self._post("supervisors", "{}", BRIEF_SECONDS))
        found = [each if each.url else each.model_copy(update={"url": self.url}) for each in answer.supervisors]
        return answer.model_copy(update={"supervisors": found})

    async def register(self, request: wire.RegisterRequest) -> wire.RegisterReply:
        """Register. Raises WireError on a version mismatch."""
        answer = await self._post("register", request.model_dump_json(), REGISTER_SECONDS)
        reply = parse(wire.RegisterReply, answer)
        if reply.version != request.version:
            message = f"the supervisor speaks version {reply.version} of the protocol, this agent {request.version}"
            raise WireError(400, "BadRequest", message)
        return reply

    async def poll(self, request: wire.PollRequest) -> wire.PollReply:
        answer = await self._post("poll", request.model_dump_json(), wire.POLL_SECONDS + POLL_MARGIN)
        return parse(wire.PollReply, answer)

    async def beat(self, request: wire.AgentBeat) -> None:
        await self._post("beat", request.model_dump_json(), BRIEF_SECONDS)

    async def answer(self, reply: wire.RunningReply) -> None:
        """Answer a request about a running task that came with a poll reply."""
        await self._post("answer", reply.model_dump_json(), BRIEF_SECONDS)

    async def sweep(self, request: wire.SweepRequest) -> list[str]:
        """The intermediates among these that no job needs."""
        return parse(wire.SweepReply, await self._post("sweep", request.model_dump_json())).unknown

    async def report(self, request: wire.ReportRequest) -> list[wire.AttemptId]:
        """Report attempts; on return they are recorded, except those that it returns, which are void.

        Raises WireError for more than a message may hold.
        """
        answer = await self._post("report", request.model_dump_json(exclude_defaults=True))
        return parse(wire.ReportReply, answer).discard

    async def check(self, request: wire.OutputCheck) -> None:
        """Check whether this output may be written. Raises WireError if not."""
        await self._post("check", request.model_dump_json())

    async def adopt(self, request: wire.Adoption) -> None:
        """Name a durable blob. Raises WireError if that is refused."""
        await self._post("adopt", request.model_dump_json())

    async def _post(self, what: str, body: str, seconds: float = REQUEST_SECONDS) -> bytes:
        if self._refused:
            raise UnavailableError(self._refused)
        data = body.encode()
        # checked here, since the other side would close the connection in the middle of the body
        if excess := wire.excess(data):
            raise WireError(413, "RequestEntityTooLargeError", f"{what} of {excess}")
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            headers = {"Authorization": f"Bearer {self._credential()}", "Content-Type": "application/json"}
            async with self._session.post(
                self.url + PREFIX + what, data=data, headers=headers, timeout=timeout
            ) as reply:
                answer = await reply.read()
                if reply.status < 300:
                    return answer
                raise refusal(what, reply.status, answer)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{what}: {error or type(error).__name__}") from error


def connector(reach: Reach = ANYWHERE) -> aiohttp.TCPConnector:
    """A connector without a limit of connections, each of which notices when its peer is gone."""
    return aiohttp.TCPConnector(limit=0, socket_factory=watchful_socket, ssl=reach.asking or True)


def watchful_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that fails when no data and no probe is acknowledged for `DEAD_SECONDS`."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if made.family in (socket.AF_INET, socket.AF_INET6):
        for option, value in (
            (socket.TCP_USER_TIMEOUT, int(DEAD_SECONDS * 1000)),
            (socket.TCP_KEEPIDLE, int(DEAD_SECONDS / 2)),
            (socket.TCP_KEEPINTVL, 1),
        ):
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def parse(message: type[M], answer: bytes) -> M:
    """Decode an answer. Raises UnavailableError if it is not of this protocol: it may come from any other server."""
    try:
        return message.model_validate_json(answer)
    except ValueError:
        raise UnavailableError(f"the answer is no {message.__name__}") from None


def refusal(what: str, status: int, body: bytes) -> Exception:
    """The exception for an unsuccessful answer."""
    if what in OF_AGENT and status in UNKNOWN:
        return UnknownAgentError()
    if status == INSUFFICIENT_STORAGE:
        return FullError(f"{what}: its disk is full")
    if status >= 500:
        return UnavailableError(f"{what}: the answer was {status}")
    try:
        error = ErrorBody.model_validate_json(body)
    except ValueError:
        return UnavailableError(f"{what}: the answer was {status} without a reason")
    if error.code == AGENT_REFUSED:  # a service that starts anew has another key: the credential is replaced
        return UnavailableError(f"{what}: {error.message}")
    return WireError(status, error.code, error.message)


class ErrorBody(wire.Wire):
    """The body of an error reply."""

    code: str
    message: str


async def patiently(action: Callable[[], Awaitable[T]], note: Callable[[str], None]) -> T:
    """Retry `action` until it is answered, with exponential back-off. `note` is called with the first failure."""
    backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
    while True:
        try:
            return await action()
        except UnavailableError as error:
            if backoff.fresh:
                note(str(error))
        await asyncio.sleep(backoff.next())


async def several(action: Callable[[], Awaitable[None]]) -> None:
    """Try a task's request a few times while it is not answered. Raises UnavailableError."""
    for left in reversed(range(TRIES)):
        try:
            await action()
            return
        except UnavailableError:
            if not left:
                raise
        await asyncio.sleep(PAUSE)
