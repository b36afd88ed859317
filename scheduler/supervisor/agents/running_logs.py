"""Logs of running tasks, on their way from agents to readers.

The output of a running task lies on its node, and the supervisor never calls an agent: agents poll. So a request for a
page of a log goes to the agent with the reply to its poll, of which one is always outstanding, and the page comes back
in a message of the agent. The supervisor stores no logs, and asks for none before a reader does.

A gateway in another process leaves its request in the records (`PostedRequests`) and announces it; the supervisor that
owns the job has it answered and writes the page beside it, where the gateway takes it. Requests whose gateway is gone
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

from scheduler.common.waiting import wait_for
from scheduler.model.wire import TaskLogPage, TaskLogRequest
from scheduler.records.database import Connection, Database, execute, select
from scheduler.supervisor import announcements
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.background import Coalesced, SupervisorTasks

# Seconds that a reader waits for an agent's answer.
ANSWER_SECONDS = 5.0
# The largest number of requests under way.
MAX_REQUESTS = 256
# Milliseconds after which no reader waits for a posted request any more.
FORGOTTEN_MS = 60_000


@dataclass(slots=True)
class _Waiting:
    """A request that an agent has to answer, with the event that its reader waits for."""

    agent: int
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    page: TaskLogPage | None = None


class TaskLogs:
    """Requests to the agents of one supervisor. `find` gives the session of an agent."""

    def __init__(self, find: Callable[[int], AgentSession | None]) -> None:
        self._find = find
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    async def read(self, agent: int, request: TaskLogRequest) -> TaskLogPage | None:
        """A page of the log of an attempt that an agent holds; None if the agent does not answer in time."""
        session = self._find(agent)
        if session is None or len(self._waiting) >= MAX_REQUESTS:
            return None
        request = request.model_copy(update={"number": next(self._numbers)})
        waiting = self._waiting[request.number] = _Waiting(agent)
        session.log_requests.append(request)
        session.wake.set()
        try:
            await wait_for(waiting.answered, ANSWER_SECONDS)
        finally:
            del self._waiting[request.number]
            session.log_requests = [other for other in session.log_requests if other.number != request.number]
        return waiting.page

    def answer(self, agent: int, page: TaskLogPage) -> None:
        """Accept a page from an agent. A page that was not asked of this agent changes nothing."""
        waiting = self._waiting.get(page.number)
        if waiting is not None and waiting.agent == agent:
            waiting.page = page
            waiting.answered.set()


class PostedRequests:
    """The requests that gateways without a supervisor have recorded, for jobs of supervisor number `owner()`."""

    def __init__(self, db: Database, logs: TaskLogs, background: SupervisorTasks, owner: Callable[[], int]) -> None:
        self._db = db
        self._logs = logs
        self._background = background
        self._owner = owner
        self._taken: set[int] = set()
        self._taking = Coalesced(background, self._take_all, "answer requests for logs of tasks")
        self.look = self._taking.ask

    async def _take_all(self) -> None:
        """Have every new request answered."""
        for row in await self._db.read(select("posted_log_requests", supervisor=self._owner())):
            if row["id"] not in self._taken:
                self._taken.add(row["id"])
                self._background.spawn(self._answer(row["id"], row["agent"], row["request"]))

    async def _answer(self, number: int, agent: int, request: str) -> None:
        try:
            found = await self._logs.read(agent, TaskLogRequest.model_validate_json(request))
            page = found or TaskLogPage(number=0, lost=True)
            await self._db.write(partial(_record, number=number, page=page.model_dump_json()))
        finally:
            self._taken.discard(number)


def _record(c: Connection, number: int, page: str) -> None:
    c.run("answer_log_request", id=number, page=page)
    c.announce(announcements.task_log(number))


def post(c: Connection, number: int, job: int, agent: int, request: TaskLogRequest, now: int) -> None:
    """Record a request for the supervisor that owns the job."""
    c.run("post_log_request", id=number, job=job, agent=agent, request=request.model_dump_json(), now=now)
    c.announce(announcements.TASK_LOGS)


async def take(db: Database, number: int) -> TaskLogPage | None:
    """The answer to a recorded request, and removal of the request.

    None if there is no answer, or the answer is that there is no page.
    """
    rows = await db.read(select("log_request", id=number))
    await db.write(execute("forget_log_request", id=number))
    page = TaskLogPage.model_validate_json(rows[0]["page"]) if rows and rows[0]["page"] else None
    return None if page is None or page.lost else page


async def forget_old(db: Database, now: int) -> None:
    """Remove requests that no reader waits for any more."""
    if await db.read(select("old_log_requests", before=now - FORGOTTEN_MS)):
        await db.write(execute("forget_log_requests", before=now - FORGOTTEN_MS))
