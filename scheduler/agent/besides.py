"""Work that goes on besides: somebody keeps it, may end it, and hears when it fails unexpectedly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from scheduler.agent.log import Log


class Besides:
    """`tasks` are those that have not ended."""

    def __init__(self, log: Log) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._log = log

    def start(self, work: Coroutine[None, None, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("unexpected error", why=repr(error))
