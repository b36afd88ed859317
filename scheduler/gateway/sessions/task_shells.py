"""Shells beside running tasks: what the gateway asks of a task's agent, and how it knows that the task still runs."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.gateway.context import Call
from scheduler.gateway.task_log import running_task
from scheduler.model.errors import WireError
from scheduler.model.wire import TaskShellRequest
from scheduler.records.database import Row
from scheduler.supervisor.jobs.intake import JobRef

SILENT = "the node of the task did not answer: try again"


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task of a job, in the attempt that runs, at the agent that holds it."""

    call: Call
    job: JobRef
    number: int
    attempt: int
    agent: int
    over: str = "the task has ended"
    in_task: bool = True

    async def start(self, session: str) -> str | None:
        """Have the program started that attaches to a session; why it is not, or None."""
        request = TaskShellRequest(task=self.number, attempt=self.attempt, session=session)
        answer = await self.call.service.ask_agent(self.job, self.agent, request)
        return SILENT if answer is None else answer.refused

    async def runs(self) -> bool:
        """Whether this very attempt still runs."""
        try:
            return bool((await running_task(self.call, self.job.id, self.number))["attempt"] == self.attempt)
        except WireError:
            return False


async def find(call: Call, job: Row, number: int) -> RunningTask:
    """A task that runs. Raises WireError for any other."""
    task = await running_task(call, job["id"], number)
    return RunningTask(call, JobRef(job["id"], job["uuid"]), number, task["attempt"], task["agent"])
