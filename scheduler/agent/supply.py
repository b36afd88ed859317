"""Inputs on their way: what the tasks of one pool read, brought to this node before they run.

A task whose input is near is let through at once. For any other its input is fetched while
other tasks run, and held until the task is over, whatever becomes of it meanwhile: it may wait,
run, be taken back and wait again. So nobody says "over" here; `keep` is told now and then who
is still there, and the others' inputs are let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from scheduler.agent.stores import Stores
from scheduler.model.wire import AttemptId, BlobRef, TaskLease

Arrived = Callable[[TaskLease, Exception | None], None]


class Supply:
    """`arrived` is called on the event loop, with a reason if the input cannot be had; not after `drop` or `close`."""

    def __init__(self, stores: Stores, arrived: Arrived) -> None:
        self._stores = stores
        self._arrived = arrived
        self._coming: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._held: dict[tuple[int, int], BlobRef] = {}

    def __len__(self) -> int:
        """Tasks whose inputs are on their way."""
        return len(self._coming)

    def bring(self, lease: TaskLease) -> bool:
        """Begin to fetch a task's input; False if there is no need to."""
        blob = lease.blob
        if blob is None or self._stores.is_near(blob) or key_of(lease) in self._held:
            return False
        self._coming[key_of(lease)] = asyncio.get_running_loop().create_task(self._bring(lease, blob))
        return True

    def drop(self, attempt: AttemptId) -> bool:
        """A task is not wanted any more; False if its input is not on its way."""
        task = self._coming.pop((attempt.task, attempt.attempt), None)
        if task is not None:
            task.cancel()
        return task is not None

    def keep(self, leases: Iterable[TaskLease]) -> None:
        """Let go of what tasks other than these held."""
        if self._held:
            there = {key_of(lease) for lease in leases}
            for key in [key for key in self._held if key not in there]:
                self._stores.let_go(self._held.pop(key))

    async def close(self) -> None:
        coming = list(self._coming.values())
        self._coming.clear()
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        self.keep([])

    async def _bring(self, lease: TaskLease, blob: BlobRef) -> None:
        error: Exception | None = None
        try:
            await self._stores.hold(blob)
        except Exception as why:
            error = why
        else:
            self._held[key_of(lease)] = blob
        del self._coming[key_of(lease)]
        self._arrived(lease, error)


def key_of(lease: TaskLease) -> tuple[int, int]:
    return lease.task, lease.attempt
