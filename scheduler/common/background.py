"""Background tasks of an event loop, owned by one component.

The event loop itself keeps only weak references to tasks, and an exception in a task that is never awaited is logged
when the task is collected, if at all. A `TaskSet` holds its tasks until they end, cancels them together, and hands an
unexpected exception to its owner at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class TaskSet:
    """Tasks of one component. `failed` is called with the exception of a task that was not cancelled."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self._failed = failed

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a coroutine as a task of this set."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        for task in list(self.tasks):
            task.cancel()

    async def end(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        self.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


async def to_the_end(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` to its end, however often the caller is cancelled meanwhile; that takes effect afterwards."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
