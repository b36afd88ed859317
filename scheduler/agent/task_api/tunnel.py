"""WebSockets of a task: the program of an interactive session attaches through the instance's endpoint, as any request.

The gateway where the user's terminal waits is not known here, and only that one can connect the two. So the gateways
are asked in turn, until one does not answer 404. Messages are charged to the attempt.
"""

from __future__ import annotations

from functools import partial

import aiohttp
from aiohttp import web

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.gateways import Gateways
from scheduler.agent.task_api.forward import forwarded_headers
from scheduler.agent.task_api.task_host import unavailable
from scheduler.http.progress import progress
from scheduler.http.upstream import connect, relay
from scheduler.http.websocket import accept
from scheduler.model.errors import WireError

NOT_FOUND = 404


class Tunnels:
    """Connects WebSockets of tasks with a gateway."""

    def __init__(self, gateways: Gateways, session: aiohttp.ClientSession) -> None:
        self._gateways = gateways
        self._session = session

    async def serve(self, request: web.BaseRequest, token: str, attempt: Attempt) -> web.StreamResponse:
        """Serve an upgraded connection until either side ends it. Raises WireError if no gateway upgrades it."""
        refusal = unavailable()
        for gateway in self._gateways:
            try:
                outer = await connect(self._session, gateway, request, forwarded_headers(request, token))
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
                    await relay(inner, outer, partial(_sent, attempt), partial(_received, attempt))
                    return inner
        raise refusal


def refused(request: web.BaseRequest, status: int) -> WireError:
    path = request.raw_path.partition("?")[0]
    return WireError(status, "UpgradeRefused", f"the service answered {status} to the upgrade of {path}")


def _sent(attempt: Attempt, size: int) -> None:
    attempt.sent += size


def _received(attempt: Attempt, size: int) -> None:
    attempt.received += size
