"""WebSockets of a task: the program of an interactive session attaches through the instance's endpoint, as any request.

The gateway where the user's terminal waits is not known here, and only that one can connect the two. So the gateways
are asked in turn, until one does not answer 404. Messages are charged to the attempt, but those of a shell beside it.

A program that is killed says nothing, and neither does the kernel of its connection. So when one breaks off, a look at
the instance shows whether the task has ended, and the user is told.
"""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
from aiohttp import WSCloseCode, web

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.gateways import Gateways
from scheduler.agent.task_api.forward import forwarded_headers
from scheduler.agent.task_api.task_host import TaskHost, unavailable
from scheduler.http.progress import progress
from scheduler.http.upstream import connect, relay
from scheduler.http.websocket import RESET, Close, accept
from scheduler.model.errors import WireError

NOT_FOUND = 404
BESIDE = "session"  # the parameter of a shell beside a task
TASK_ENDED = Close(WSCloseCode.OK, "the task has ended")
LOOKS, PAUSE = 20, 0.05


class Tunnels:
    """Connects WebSockets of tasks with a gateway."""

    def __init__(self, gateways: Gateways, session: aiohttp.ClientSession) -> None:
        self._gateways = gateways
        self._session = session

    async def serve(self, request: web.BaseRequest, host: TaskHost, attempt: Attempt) -> web.StreamResponse:
        """Serve an upgraded connection until either side ends it. Raises WireError if no gateway upgrades it."""
        headers, beside = forwarded_headers(request, host.spec.token), BESIDE in request.query
        refusal = unavailable()
        for gateway in self._gateways:
            try:
                outer = await connect(self._session, gateway, request, headers)
            except aiohttp.WSServerHandshakeError as error:
                refusal = refused(request, error.status)
                if error.status != NOT_FOUND:
                    break
            except (aiohttp.ClientError, TimeoutError):
                self._gateways.failed(gateway)
            else:
                async with outer:
                    inner = await accept(request)
                    progress(request).begun = True
                    sent = int if beside else partial(_sent, attempt)
                    received = int if beside else partial(_received, attempt)
                    await relay(inner, outer, sent, received, partial(end_of, host, attempt))
                    return inner
        raise refusal


def refused(request: web.BaseRequest, status: int) -> WireError:
    path = request.raw_path.partition("?")[0]
    return WireError(status, "UpgradeRefused", f"the service answered {status} to the upgrade of {path}")


async def end_of(host: TaskHost, attempt: Attempt) -> Close:
    """Why a connection of an attempt broke off: with the attempt, which the lackey may say a moment later, or alone."""
    for _ in range(LOOKS):
        if host.running() is not attempt:
            return TASK_ENDED
        await asyncio.sleep(PAUSE)
    return RESET


def _sent(attempt: Attempt, size: int) -> None:
    attempt.sent += size


def _received(attempt: Attempt, size: int) -> None:
    attempt.received += size
