"""Background tasks of a supervisor: periodic work, and work that is requested often but runs once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from scheduler.common.background import TaskSet
from scheduler.common.backoff import Backoff
from scheduler.records.fences import Fenced

log = logging.getLogger("remora.supervisor")

# Seconds between tries of work that failed, at first and at most.
PAUSES = (0.2, 30.0)

Work = Callable[[], Coroutine[Any, Any, None]]


class SupervisorTasks(TaskSet):
    """The background tasks of one supervisor.

    `fenced` is set when periodic work finds that another supervisor has taken over.
    """

    def __init__(self) -> None:
        super().__init__(log_failure)
        self.fenced = asyncio.Event()

    def every(self, seconds: float, work: Work) -> None:
        """Run `work` every `seconds`, and after a failure too."""
        self.spawn(self._repeat(seconds, work))

    async def _repeat(self, seconds: float, work: Work) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Fenced:
                self.fenced.set()
                return
            except Exception:
                log.exception("periodic work failed and is tried again")


def log_failure(error: BaseException) -> None:
    """Log why a background task failed. That another supervisor has taken over is no failure."""
    if not isinstance(error, Fenced):
        log.error("background work failed", exc_info=error)


class Coalesced:
    """Coalesced work: however often it is requested, `work` runs once after the last request.

    A failed run is repeated until it succeeds, or until another supervisor has taken over.
    """

    def __init__(self, background: SupervisorTasks, work: Work, name: str) -> None:
        self._background = background
        self._work = work
        self._name = name
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        self._asked = True
        if self._task is None or self._task.done():
            self._task = self._background.spawn(self._run())

    async def _run(self) -> None:
        backoff = Backoff(*PAUSES)
        while self._asked:
            self._asked = False
            try:
                await self._work()
                backoff.reset()
            except Fenced:
                return
            except Exception:
                told = {"work": self._name, "pause": backoff.pause}
                log.exception("background work failed and is tried again", extra=told)
                self._asked = True
                await asyncio.sleep(backoff.next())
