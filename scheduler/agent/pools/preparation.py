"""Preparation of one pool's tasks: what is done between a lease and the queue of those that an instance may take.

An input on another node is fetched (`blobs.prefetch`). A slice is looked at: a task whose slice owns no line has
nothing to do, and is reported at once. In a phase that counts lines nothing else happens to a task.

Example: of three leases, one reads an object of this node, which `begin` returns; one reads an intermediate of another
node, and one a slice: `ready` is called for each of these two later, if not dropped meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial

from scheduler.agent.blobs.prefetch import Prefetch, key_of
from scheduler.agent.blobs.slices import lines_of, owns_no_line
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.pools.completion import Completion
from scheduler.agent.pools.pacing import Pace
from scheduler.model.wire import AttemptId, TaskLease


class Preparation:
    """The tasks of one pool that are not ready yet. All methods run on the event loop.

    `line_end` is the byte that ends lines. `ready` is called with tasks that may be queued, and without any after some
    were reported instead. `spawn` runs work that is cancelled when the pool closes.
    """

    def __init__(
        self,
        stores: Stores,
        completion: Completion,
        line_end: bytes,
        spawn: Callable[[Coroutine[None, None, None]], object],
        ready: Callable[[list[TaskLease]], None],
    ) -> None:
        self._stores = stores
        self._completion = completion
        self._line_end = line_end
        self._spawn = spawn
        self._ready = ready
        self._prefetch = Prefetch(stores, self._fetched)
        self._looking: set[tuple[int, int]] = set()  # tasks whose slices are looked at, or whose lines are counted

    def __len__(self) -> int:
        return len(self._prefetch) + len(self._looking)

    def attempts(self) -> Iterator[AttemptId]:
        """The attempts that are not ready yet."""
        for task, attempt in (*self._prefetch.keys(), *self._looking):
            yield AttemptId(task=task, attempt=attempt)

    def begin(self, leases: Iterable[TaskLease]) -> list[TaskLease]:
        """Prepare tasks; returns those that are ready already."""
        near = [lease for lease in leases if not self._prefetch.bring(lease)]
        if sliced := [lease for lease in near if lease.feed is not None]:
            self._looking.update(map(key_of, sliced))
            self._spawn(self._look_at(sliced))
        return [lease for lease in near if lease.feed is None]

    async def count(self, leases: list[TaskLease], pace: Pace) -> None:
        """Count the lines of what tasks read, and report them: no instance is needed for that."""
        self._looking.update(map(key_of, leases))
        clock = asyncio.get_running_loop().time
        for lease in leases:
            if key_of(lease) not in self._looking:
                continue  # it was dropped meanwhile
            began = clock()
            await self._completion.count(lease, partial(lines_of, lease, self._stores))
            self._looking.discard(key_of(lease))
            pace.add(int((clock() - began) * 1e6))

    def drop(self, attempt: AttemptId) -> bool:
        """Forget a task; False if it is not prepared here."""
        key = (attempt.task, attempt.attempt)
        if self._prefetch.drop(attempt):
            return True
        known = key in self._looking
        self._looking.discard(key)
        return known

    def keep(self, leases: Iterable[TaskLease]) -> None:
        """Release fetched inputs of all tasks other than these."""
        self._prefetch.keep(leases)

    def clear(self) -> None:
        """Forget the tasks that are looked at or counted."""
        self._looking.clear()

    async def close(self) -> None:
        """Stop fetching, and release all inputs."""
        await self._prefetch.close()

    async def _look_at(self, sliced: list[TaskLease]) -> None:
        """Report the tasks whose slices own no line; the others are ready."""
        end = self._line_end
        empty = await asyncio.to_thread(
            lambda: {key_of(each) for each in sliced if owns_no_line(each, self._stores, end)}
        )
        known = [lease for lease in sliced if key_of(lease) in self._looking]  # the others were dropped meanwhile
        self._looking.difference_update(map(key_of, known))
        for lease in known:
            if key_of(lease) in empty:
                self._completion.skip(lease)
        self._ready([lease for lease in known if key_of(lease) not in empty])

    def _fetched(self, lease: TaskLease, error: Exception | None) -> None:
        """Take a task whose input was fetched, or end it if the input cannot be fetched."""
        if error is None:
            self._ready([lease])
        else:
            self._completion.lack_input(lease, str(error), isinstance(error, FileNotFoundError))
            self._ready([])
