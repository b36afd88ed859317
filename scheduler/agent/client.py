"""The agent's side of the protocol of `scheduler.model.wire`, over HTTP.

Answers come in three kinds. The one we wanted; a `WireError`, with which the gateway refuses
*this request* (an output's directory does not exist); and trouble with the gateway itself,
which passes: `UnavailableError`. The callers that may not fail wait that out (`patiently`). One
refusal concerns us all: `UnknownAgentError` says that the supervisor has given our tasks to
others, so that nothing we hold counts any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp

from scheduler.model import wire
from scheduler.model.errors import AGENT_REFUSED, WireError

T = TypeVar("T")
PREFIX = "/_agent/v1/"
REQUEST_SECONDS = 60.0
FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0
# A task does not wait for ever: so many tries, and so many seconds between them.
TRIES = 3
PAUSE = 0.5
UNKNOWN = (401, 409)


class UnavailableError(Exception):
    """The gateway did not answer, or could not; ask again later."""


class UnknownAgentError(Exception):
    """The gateway does not know this agent (any more): register anew."""


class Client:
    """Requests to one gateway. `session` is shared with what the tasks ask of it."""

    def __init__(self, url: str, secret_file: Path, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self.session = session
        self._secret_file = secret_file

    async def register(self, request: wire.RegisterRequest) -> int:
        """The number that the gateway gives us."""
        return wire.RegisterReply.model_validate_json(await self._post("register", request.model_dump_json())).agent

    async def poll(self, request: wire.PollRequest) -> wire.PollReply:
        answer = await self._post("poll", request.model_dump_json(), wire.POLL_SECONDS + REQUEST_SECONDS)
        return wire.PollReply.model_validate_json(answer)

    async def report(self, request: wire.ReportRequest) -> None:
        """When this returns, the attempts are durable."""
        await self._post("report", request.model_dump_json(exclude_defaults=True))

    async def check(self, request: wire.OutputCheck) -> None:
        """May this output be written? Raises WireError if not."""
        await self._post("check", request.model_dump_json())

    async def adopt(self, request: wire.Adoption) -> None:
        """Name a durable blob. Raises WireError if that is refused."""
        await self._post("adopt", request.model_dump_json())

    async def _post(self, what: str, body: str, seconds: float = REQUEST_SECONDS) -> bytes:
        secret = self._secret_file.read_text().strip()  # a new service may have written a new one
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self.session.post(
                self.url + PREFIX + what, data=body.encode(), headers=headers, timeout=timeout
            ) as reply:
                answer = await reply.read()
                if reply.status < 300:
                    return answer
                raise refusal(what, reply.status, answer)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{what}: {error or type(error).__name__}") from error


def refusal(what: str, status: int, body: bytes) -> Exception:
    """What an answer that is no success means."""
    if what in ("poll", "report") and status in UNKNOWN:
        return UnknownAgentError()
    if status >= 500:
        return UnavailableError(f"{what}: the gateway answered {status}")
    try:
        error = ErrorBody.model_validate_json(body)
    except ValueError:
        return UnavailableError(f"{what}: the gateway answered {status} without a reason")
    if error.code == AGENT_REFUSED:  # it was just replaced
        return UnavailableError(f"{what}: {error.message}")
    return WireError(status, error.code, error.message)


class ErrorBody(wire.Wire):
    """The body of an error reply."""

    code: str
    message: str


async def patiently(action: Callable[[], Awaitable[T]], note: Callable[[str], None]) -> T:
    """Repeat `action` until the gateway answers, waiting longer each time. `note` hears of the first failure."""
    wait = FIRST_WAIT
    while True:
        try:
            return await action()
        except UnavailableError as error:
            if wait == FIRST_WAIT:
                note(str(error))
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


async def several(action: Callable[[], Awaitable[None]]) -> None:
    """Repeat a request for a task a few times while the gateway does not answer. Raises UnavailableError."""
    for left in reversed(range(TRIES)):
        try:
            await action()
            return
        except UnavailableError:
            if not left:
                raise
        await asyncio.sleep(PAUSE)
