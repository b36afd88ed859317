"""Requests about running tasks, on their way from users to agents: what a task has printed, or a shell beside it.

What a running task has printed lies on its node, and its instance is there, too; and the supervisor never calls an
agent: agents poll. So a request goes to the agent with the reply to its poll, of which one is always outstanding, and
the answer comes back in a message of the agent. The supervisor stores none, and asks for none before a user does.

A gateway in another process leaves its request in the records (`PostedRequests`) and announces it; the supervisor that
owns the job has it answered and writes the answer beside it, where the gateway takes it. Requests whose gateway is gone
are removed after a minute.

Example: `mjob logs` wants stderr of task 17 from byte 4096. The request is number 5; agent 3, which holds attempt 2,
is told with its next poll reply, and answers (5, 300 bytes).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pydantic import TypeAdapter

from scheduler.common.waiting import wait_for
from scheduler.model.wire import RunningAnswer, TaskLogRequest, TaskShellRequest
from scheduler.records.database import Connection, Database, execute, select
from scheduler.supervisor import announcements
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.background import Coalesced, SupervisorTasks

# Seconds for which a user waits for an agent's answer.
ANSWER_SECONDS = 5.0
# The largest number of requests under way.
MAX_REQUESTS = 256
# Milliseconds after which no user waits for a posted request any more.
FORGOTTEN_MS = 60_000
RunningRequest = TaskLogRequest | TaskShellRequest
POSTED: TypeAdapter[RunningRequest] = TypeAdapter(RunningRequest)


@dataclass(slots=True)
class _Waiting:
    """A request that an agent has to answer, with the event that its user waits for."""

    agent: int
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: RunningAnswer | None = None


class RunningRequests:
    """Requests to the agents of one supervisor. `find` gives the session of an agent."""

    def __init__(self, find: Callable[[int], AgentSession | None]) -> None:
        self._find = find
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    async def ask(self, agent: int, request: RunningRequest) -> RunningAnswer | None:
        """The answer of the agent that holds an attempt; None if it does not answer in time."""
        session = self._find(agent)
        if session is None or len(self._waiting) >= MAX_REQUESTS:
            return None
        request = request.model_copy(update={"number": next(self._numbers)})
        waiting = self._waiting[request.number] = _Waiting(agent)
        session.running_requests.append(request)
        session.wake.set()
        try:
            await wait_for(waiting.answered, ANSWER_SECONDS)
        finally:
            del self._waiting[request.number]
            session.running_requests = [each for each in session.running_requests if each.number != request.number]
        return waiting.answer

    def answer(self, agent: int, answer: RunningAnswer) -> None:
        """Accept an answer of an agent. One that was not asked of this agent changes nothing."""
        waiting = self._waiting.get(answer.number)
        if waiting is not None and waiting.agent == agent:
            waiting.answer = answer
            waiting.answered.set()


class PostedRequests:
    """The requests that gateways without a supervisor have recorded, for jobs of supervisor number `owner()`."""

    def __init__(
        self, db: Database, requests: RunningRequests, background: SupervisorTasks, owner: Callable[[], int]
    ) -> None:
        self._db = db
        self._requests = requests
        self._background = background
        self._owner = owner
        self._taken: set[int] = set()
        self._taking = Coalesced(background, self._take_all, "answer requests about running tasks")
        self.look = self._taking.ask

    async def _take_all(self) -> None:
        """Have every new request answered."""
        for row in await self._db.read(select("posted_running_requests", supervisor=self._owner())):
            if row["id"] not in self._taken:
                self._taken.add(row["id"])
                self._background.spawn(self._answer(row["id"], row["agent"], row["request"]))

    async def _answer(self, number: int, agent: int, request: str) -> None:
        try:
            found = await self._requests.ask(agent, POSTED.validate_json(request))
            answer = found or RunningAnswer(number=0, lost=True)
            await self._db.write(partial(_record, number=number, answer=answer.model_dump_json()))
        finally:
            self._taken.discard(number)


def _record(c: Connection, number: int, answer: str) -> None:
    c.run("answer_running_request", id=number, answer=answer)
    c.announce(announcements.answered(number))


def post(c: Connection, number: int, job: int, agent: int, request: RunningRequest, now: int) -> None:
    """Record a request for the supervisor that owns the job."""
    c.run("post_running_request", id=number, job=job, agent=agent, request=request.model_dump_json(), now=now)
    c.announce(announcements.ASKED)


async def take(db: Database, number: int) -> RunningAnswer | None:
    """The answer to a recorded request, and removal of the request.

    None if there is no answer, or the answer is that the agent gave none.
    """
    rows = await db.read(select("running_answer", id=number))
    await db.write(execute("forget_running_request", id=number))
    answer = RunningAnswer.model_validate_json(rows[0]["answer"]) if rows and rows[0]["answer"] else None
    return None if answer is None or answer.lost else answer


async def forget_old(db: Database, now: int) -> None:
    """Remove requests for whose answers no user waits any more."""
    if await db.read(select("old_running_requests", before=now - FORGOTTEN_MS)):
        await db.write(execute("forget_running_requests", before=now - FORGOTTEN_MS))
