"""Prefetch of inputs: the blobs that one pool's tasks read are brought to this node before the tasks run.

A task whose input is near passes at once. Any other input is fetched while other tasks run, and held
until the task is over, whatever happens to the task meanwhile: it may wait, run, be recalled and wait
again. So there is no call for the end of a task; `keep` is called now and then with the tasks that are
left, and releases the inputs of all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import AttemptId, BlobRef, TaskLease

Arrived = Callable[[TaskLease, Exception | None], None]


class Prefetch:
    """The prefetch of one pool.

    `arrived` is called on the event loop, with an error if the input cannot be fetched; not after `drop` or `close`.
    """

    def __init__(self, stores: Stores, arrived: Arrived) -> None:
        self._stores = stores
        self._arrived = arrived
        self._coming: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._held: dict[tuple[int, int], BlobRef] = {}

    def __len__(self) -> int:
        """The number of tasks whose inputs are being fetched."""
        return len(self._coming)

    def keys(self) -> Iterable[tuple[int, int]]:
        """The tasks whose inputs are being fetched, by number and attempt."""
        return self._coming.keys()

    def bring(self, lease: TaskLease) -> bool:
        """Begin to fetch a task's input; False if it is near already."""
        blob = lease.blob
        if blob is None or self._stores.is_near(blob) or key_of(lease) in self._held:
            return False
        self._coming[key_of(lease)] = asyncio.get_running_loop().create_task(self._bring(lease, blob))
        return True

    def drop(self, attempt: AttemptId) -> bool:
        """Stop fetching for a task; False if its input is not being fetched."""
        task = self._coming.pop((attempt.task, attempt.attempt), None)
        if task is not None:
            task.cancel()
        return task is not None

    def keep(self, leases: Iterable[TaskLease]) -> None:
        """Release the inputs of all tasks other than these."""
        if self._held:
            there = {key_of(lease) for lease in leases}
            for key in [key for key in self._held if key not in there]:
                self._stores.let_go(self._held.pop(key))

    async def close(self) -> None:
        """Cancel all transfers and release all inputs."""
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
