"""Answers to requests about running attempts, which come with the reply to a poll: a page of a log, or a shell beside.

Each is answered once: a user without an answer asks again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from scheduler.agent.attempts import running_log
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.client import Client, UnavailableError, UnknownAgentError
from scheduler.agent.pools.pool import Pool
from scheduler.agent.pools.shells import NOT_NOW
from scheduler.agent.pools.worker import Worker
from scheduler.model.errors import WireError
from scheduler.model.wire import RunningAnswer, RunningReply, TaskLogRequest, TaskShellRequest

UNANSWERED = (OSError, UnavailableError, UnknownAgentError, WireError)


class RunningRequests:
    """Answers one supervisor's requests about the attempts of its pools here."""

    def __init__(self, client: Client, pools: Mapping[int, Pool]) -> None:
        self._client = client
        self._pools = pools

    async def tell_log(self, agent: int, request: TaskLogRequest) -> None:
        """Send what a running task has printed."""
        with contextlib.suppress(*UNANSWERED):
            page = await running_log.read(self._attempt, request)
            await self._client.answer(RunningReply(agent=agent, answer=page))

    async def start_shell(self, agent: int, request: TaskShellRequest) -> None:
        """Start a shell beside a running task, and say whether it has begun."""
        with contextlib.suppress(*UNANSWERED):
            found = self._find(request.task, request.attempt)
            refused = NOT_NOW if found is None else await found[0].shells.start(found[1], request.session)
            answer = RunningAnswer(number=request.number, refused=refused)
            await self._client.answer(RunningReply(agent=agent, answer=answer))

    def _attempt(self, task: int, number: int) -> Attempt | None:
        found = self._find(task, number)
        return None if found is None else found[1]

    def _find(self, task: int, number: int) -> tuple[Worker, Attempt] | None:
        pools: Collection[Pool] = self._pools.values()
        return next(filter(None, (pool.find(task, number) for pool in pools)), None)
