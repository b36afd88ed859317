"""Work in the background: tasks that nobody awaits, what is done every so often, what many may ask for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from scheduler.records.database import Fenced

log = logging.getLogger("remora.supervisor")

# Seconds between tries of work that failed.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Background:
    """Tasks of the event loop, kept so that they live and are ended. `fenced` is set when one finds that it is not
    ours to do any more."""

    def __init__(self) -> None:
        self.fenced = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def every(self, seconds: float, work: Work) -> None:
        """Do `work` again and again, whatever goes wrong."""
        self.spawn(self._repeat(seconds, work))

    async def end(self) -> None:
        """Cancel all, and wait until they are gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, seconds: float, work: Work) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Fenced:
                self.fenced.set()
                return
            except Exception:
                log.exception("housekeeping failed and is tried again")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Fenced):
            log.error("background work failed", exc_info=error)


class Errand:
    """Asked for once or often, `work` begins after the last asking; it is tried until it succeeds, or is not ours."""

    def __init__(self, background: Background, work: Work, name: str) -> None:
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
        pause = FIRST_PAUSE
        while self._asked:
            self._asked = False
            try:
                await self._work()
                pause = FIRST_PAUSE
            except Fenced:
                return
            except Exception:
                log.exception("an errand failed and is tried again", extra={"errand": self._name, "pause": pause})
                self._asked = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
