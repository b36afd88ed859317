"""Work that many may ask for, done by one task at a time."""

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

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Errand:
    """Asked for once or often, `work` begins after the last asking; it is tried until it succeeds, or is not ours."""

    def __init__(self, spawn: Spawn, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._spawn = spawn
        self._work = work
        self._name = name
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        self._asked = True
        if self._task is None or self._task.done():
            self._task = self._spawn(self._run())

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
