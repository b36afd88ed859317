"""Supervisor runner: starts the supervisor of a process, and a new one when others have declared it lost.

A process that was stopped for a while, or could not reach the database, finds that its jobs have new owners. It has
nothing to save: it drops the old supervisor with its cache, and starts a new one under a new number. Agents learn that
their registration is unknown, and register anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from scheduler.common.backoff import Backoff
from scheduler.supervisor.background import PAUSES
from scheduler.supervisor.supervisor import Supervisor

log = logging.getLogger("remora.supervisor")


class SupervisorRunner:
    """The successive supervisors of one process. `current` is None until the first is made."""

    def __init__(self) -> None:
        self.current: Supervisor | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def supervisor(self) -> Supervisor:
        """The current supervisor, after `start`."""
        assert self.current is not None
        return self.current

    async def start(self, make: Callable[[], Supervisor]) -> None:
        """Start the first supervisor. `make` returns one that is not started yet. Raises what a start raises."""
        self.current = make()
        await self.current.start()
        self._keeping = asyncio.create_task(self._keep(make))

    async def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            await self.supervisor.stop()

    async def _keep(self, make: Callable[[], Supervisor]) -> None:
        while True:
            old = self.supervisor
            await old.lost.wait()
            log.warning("this supervisor was declared lost: it starts anew", extra={"supervisor": old.id})
            self.current = make()
            old.let_go()
            await old.stop()
            await self._start()

    async def _start(self) -> None:
        backoff = Backoff(*PAUSES)
        while True:
            try:
                await self.supervisor.start()
            except Exception:
                log.exception("a supervisor could not start and tries again", extra={"pause": backoff.pause})
                await asyncio.sleep(backoff.next())
            else:
                return
