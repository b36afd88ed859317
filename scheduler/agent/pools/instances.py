"""The instances of one pool: as many as the pool wants, each with the worker that speaks to its lackey.

New instances are made in the background, and count from the moment at which that begins (`starting`).
Superfluous ones leave after their task, and stay if the number rises again before it ends. An instance
that cannot be made is tried again after a pause, and the pool hears why: an asset that is gone, no image
that matches, or several failures in a row, after which its tasks had better run elsewhere.

Example: of three instances, two of them busy, one is wanted. The idle one ends at once, and one of the
others with its task, unless two are wanted before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.verdict import Stop
from scheduler.agent.pools.assets import AssetError
from scheduler.agent.pools.instance_factory import InstanceFactory, NoPlaceError
from scheduler.agent.pools.worker import State, Worker, WorkerOwner
from scheduler.common.background import TaskSet
from scheduler.model.wire import AttemptId
from scheduler.providers import InstanceError, NoImageError


class InstancesOwner(WorkerOwner, Protocol):
    """The events that instances report to their pool, beside those of their workers."""

    def advance(self) -> None: ...
    def asset_gone(self, why: str) -> None: ...
    def image_unknown(self, why: str) -> None: ...
    def starts_failed(self) -> None: ...


class Instances:
    """The instances of one pool. All methods run on the event loop.

    What `background` runs is cancelled when the pool closes, and what `endings` runs is awaited.
    """

    def __init__(self, pool: InstancesOwner, maker: InstanceFactory, background: TaskSet, endings: TaskSet) -> None:
        self.workers: list[Worker] = []
        self.starting = 0
        self._pool = pool
        self._maker = maker
        self._background = background
        self._endings = endings

    def __len__(self) -> int:
        """The number of instances, including those that are being made."""
        return len(self.workers) + self.starting

    def attempts(self) -> Iterator[Attempt]:
        """The attempts that were handed to instances."""
        for worker in self.workers:
            yield from worker.handed.values()

    def find(self, task: int, number: int) -> tuple[Worker, Attempt] | None:
        """The attempt of this task and number, and the instance that was handed it."""
        for worker in self.workers:
            for attempt in worker.handed.values():
                if (attempt.lease.task, attempt.lease.attempt) == (task, number):
                    return worker, attempt
        return None

    def emptiest(self, ahead: int) -> Iterator[Worker]:
        """The instance for each next task: the emptiest that may hold one more, none more than `ahead`.

        The caller hands it a task, or gives that up, before it asks for the next.
        """
        now = asyncio.get_running_loop().time()
        able = [(len(worker.handed), worker.number, worker) for worker in self.workers if worker.can_take(ahead, now)]
        heapify(able)
        while able:
            _, number, worker = able[0]
            yield worker
            held = len(worker.handed)
            if not held or (held < ahead and worker.state is State.READY):  # its running task is no longer than before
                heapreplace(able, (held, number, worker))
            else:
                heappop(able)

    def stop(self, attempt: AttemptId, why: Stop) -> bool:
        """Kill an attempt; False if no instance was handed it."""
        found = self.find(attempt.task, attempt.attempt)
        if found is None:
            return False
        worker, handed = found
        worker.stop(handed, why)
        return True

    def all_long(self, now: float) -> bool:
        """Whether the running tasks of all instances take long."""
        ready = bool(self.workers) and not self.starting and not any(each.init for each in self.attempts())
        return ready and all(worker.is_long(now) for worker in self.workers)

    def converge(self, wanted: int) -> None:
        """Start, keep or release instances until there are as many as wanted."""
        staying = [worker for worker in self.workers if worker.state is not State.LEAVING]
        for worker in [each for each in self.workers if each.may_stay][: max(0, wanted - len(staying) - self.starting)]:
            worker.stay()
            staying.append(worker)
        for _ in range(wanted - len(staying) - self.starting):
            self.starting += 1
            self._background.spawn(self._start())
        superfluous = sorted(staying, key=lambda worker: len(worker.handed))[: max(0, len(staying) - wanted)]
        for worker in superfluous:
            worker.leave(for_good=False)
            self.leave_if_idle(worker)

    async def _start(self) -> None:
        """Make one instance, with assets, once there is room for it."""
        try:
            worker = await self._make_worker()
        except NoPlaceError:
            self.starting -= 1  # the next arrival of an allocation starts another
        except AssetError as error:
            self._pool.asset_gone(str(error))
            await self._start_failed(str(error))
        except NoImageError as error:
            self.starting -= 1
            self._pool.image_unknown(str(error))
        except (InstanceError, OSError) as error:
            await self._start_failed(str(error))
        else:
            self.starting -= 1
            self._maker.succeeded()
            self.workers.append(worker)
            self._pool.advance()

    async def _make_worker(self) -> Worker:
        instance = await self._maker.make()
        try:
            worker = Worker(self._pool, instance)
            await worker.open()
        except BaseException:
            await self._maker.end(instance)
            raise
        return worker

    def start_again(self, why: str) -> None:
        """Make another instance after a pause: one has died before it could take a task."""
        self.starting += 1
        self._background.spawn(self._start_failed(why))

    async def _start_failed(self, why: str) -> None:
        """Wait before the next try."""
        if self._maker.failed(why):
            self._pool.starts_failed()
        await self._maker.rest()
        self.starting -= 1
        self._pool.advance()

    def leave_if_idle(self, worker: Worker) -> None:
        """End a leaving instance that has no task any more."""
        if worker.state is State.LEAVING and not worker.handed:
            worker.abandon()
            self.remove(worker)

    def remove(self, worker: Worker) -> None:
        """End an instance whose worker has been abandoned, or is lost."""
        if worker in self.workers:
            self.workers.remove(worker)
            self._endings.spawn(self._until_gone(worker, self._maker.end(worker.instance)))

    async def _until_gone(self, worker: Worker, ending: Coroutine[None, None, None]) -> None:
        await ending
        worker.gone.set()

    def close(self) -> tuple[list[Attempt], list[Coroutine[None, None, None]]]:
        """Kill all instances; returns the attempts that they had, and what ends them when awaited."""
        workers, self.workers = self.workers, []
        abandoned = [attempt for worker in workers for attempt in worker.abandon()]
        return abandoned, [self._maker.end(worker.instance) for worker in workers]
