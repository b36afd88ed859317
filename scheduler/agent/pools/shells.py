"""Shells beside the tasks of one instance: a user's, who wants to see what a running task does.

The lackey starts the program of an interactive session beside the task's command, with the task's environment, caps,
and end: what ends the task kills all processes of the instance. The program attaches to its session by itself, through
the instance's endpoint. Nothing of it is the task's output, and its use of the processor is not counted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
from typing import Protocol

from datapath import passing
from datapath.passing import Kind, Slot
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.environment import has_host_files
from scheduler.agent.log import Log
from scheduler.model.naming import SESSION_EXEC
from scheduler.model.wire import PoolSpec
from scheduler.providers import Instance, View
from scheduler.providers.programs import SESSION_TOOL

NOT_NOW = "the task does not run now: it has not begun, or has ended"


class ShellHost(Protocol):
    """The instance with the tasks."""

    instance: Instance
    log: Log

    def current(self) -> Attempt | None: ...
    async def say(self, kind: Kind, flags: int, payload: bytes, fds: tuple[int, ...] = (), task: int = 0) -> None: ...


def script_of(spec: PoolSpec, view: View) -> str:
    """The script of a pool's tasks. The program of a job's own session is an asset; without /assets it is the tool."""
    return program(view) if spec.exec == SESSION_EXEC and has_host_files(view) else spec.exec


def program(view: View) -> str:
    """The script that is a session's program, by its place among the tools."""
    return shlex.quote(f"{view.tools}/{SESSION_TOOL}")


class Shells:
    """Starts shells, and passes on what the lackey says of each."""

    def __init__(self, host: ShellHost) -> None:
        self._host = host
        self._starting: dict[int, asyncio.Future[int]] = {}  # by the task's number: an errno

    async def start(self, attempt: Attempt, session: str) -> str | None:
        """Start a shell beside an attempt, for a session; why there is none, or None. Raises OSError."""
        if self._host.current() is not attempt or attempt.number in self._starting:
            return NOT_NOW
        started = self._starting[attempt.number] = asyncio.get_running_loop().create_future()
        try:
            await self._ask(attempt, session)
            error = await started
        finally:
            del self._starting[attempt.number]
        self._host.log.info("shell beside a task", task=attempt.lease.uuid, error=error)
        return None if error == 0 else NOT_NOW if error == errno.ESRCH else f"it cannot start: {os.strerror(error)}"

    async def _ask(self, attempt: Attempt, session: str) -> None:
        await self._host.say(Kind.SCRIPT, Slot.SHELL, program(self._host.instance.view).encode())
        variables = passing.encode_environment({"REMORA_SESSION": f"task={attempt.lease.task}&session={session}"})
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            await self._host.say(Kind.SHELL, Slot.SHELL, variables, (nothing,) * 3, attempt.number)
        finally:
            os.close(nothing)

    def answered(self, task: int, error: int) -> None:
        """Accept what the lackey says: 0, or the errno of a start that failed."""
        if (starting := self._starting.get(task)) is not None and not starting.done():
            starting.set_result(error)

    def close(self) -> None:
        """The instance is gone, or goes."""
        for task in self._starting:
            self.answered(task, errno.ESRCH)
