"""Enforcement of tier caps where the kernel does not enforce them: memory without a control group, disk, and time.

Memory in use is measured with every tick, or less often where measuring takes long. Disk in use is measured while
tasks run, and at the end of each before it is judged (`disk_count` says when that may be left out). A task that
exceeds a cap is ended, or has failed, and its instance is replaced with all that is in it: the next task finds an
empty one. A task that runs there already and has done nothing wrong is retried.

The run time of a task is added up look by look, and a look that comes late counts for `LATE_SECONDS`: when this
process was suspended, or its machine, the tasks were mostly suspended as well.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.verdict import Stop
from scheduler.agent.pools.caps.disk_count import free_at
from scheduler.agent.pools.worker import Worker
from scheduler.providers import InstanceSpec
from scheduler.providers.linux.disk_usage import File, Use, inodes_of

# The pause between two looks at memory, in multiples of the time that a look takes.
LOOK_SHARE = 20.0
# The most that one look adds to a run time; looks are a quarter of a second apart.
LATE_SECONDS = 2.0


@dataclass(slots=True)
class Caps:
    """The caps of one pool's instances.

    `spawn` runs slow work; `replace` is called for an instance that exceeds its cap.
    """

    limits: InstanceSpec
    timeout_s: int | None  # the run time that a task may have
    spawn: Callable[[Coroutine[None, None, None]], object]
    replace: Callable[[Worker], None]
    inodes: int = 0

    def __post_init__(self) -> None:
        self.inodes = inodes_of(self.limits.disk_bytes)

    def look(self, worker: Worker, running: Attempt, now: float) -> None:
        """Measure what the running task has in use, if that is due."""
        if self.timeout_s is not None and self._has_run(running, now) > self.timeout_s and not running.init:
            worker.stop(running, Stop.TIMEOUT)
        if not worker.instance.memory_capped and now >= worker.memory_due:
            worker.memory_due = math.inf
            self.spawn(self._watch_memory(worker, running))
        running.disk_full = running.disk_full or worker.instance.disk_full()
        if not worker.disk.running and self._must_count(worker, running, now):
            self.spawn(self._watch_disk(worker, running))

    def _has_run(self, running: Attempt, now: float) -> float:
        """The run time in seconds, as far as it was observed."""
        running.ran += min(now - (running.looked or running.began), LATE_SECONDS)
        running.looked = now
        return running.ran

    async def _watch_memory(self, worker: Worker, running: Attempt) -> None:
        """Add up the memory of an instance's tasks; end a task that exceeds its cap."""
        began = worker.loop.time()
        used = await asyncio.to_thread(worker.instance.memory_used)
        worker.memory_due = began + LOOK_SHARE * (worker.loop.time() - began)
        if running.number in worker.handed:
            running.peak_kb = max(running.peak_kb, used >> 10)
            if used > self.limits.memory_bytes:
                worker.stop(running, Stop.MEMORY)

    async def _watch_disk(self, worker: Worker, running: Attempt) -> None:
        """Count the disk use of an instance and of its running task; end a task that exceeds its cap."""
        if await self._count_in_thread(worker, running) and running.number in worker.handed:
            worker.stop(running, Stop.DISK)

    def check_end(self, worker: Worker, attempt: Attempt, now: float, conclude: Callable[[bool], None]) -> None:
        """Call `conclude` for a task that has ended, with whether it has left too much on the disk."""
        if attempt.stop in (Stop.DISK, Stop.FULL):
            conclude(True)
        elif not self._must_count(worker, attempt, now):
            if worker.disk.again is None:
                self._count_later(worker, now)
            conclude(False)
        elif worker.disk.quick:
            conclude(self._count(worker, attempt.written(), None))
        else:
            self.spawn(self._check_in_thread(worker, attempt, conclude))

    async def _check_in_thread(self, worker: Worker, attempt: Attempt, conclude: Callable[[bool], None]) -> None:
        conclude(await self._count_in_thread(worker, attempt, ended=True))

    def _must_count(self, worker: Worker, attempt: Attempt, now: float) -> bool:
        return worker.disk.may_exceed(self._most(attempt.written()), now)

    def _count_later(self, worker: Worker, now: float) -> None:
        worker.disk.again = worker.loop.call_later(worker.disk.due - now, self._count_again, worker)

    def _count_again(self, worker: Worker) -> None:
        """Count an instance in which nothing will run any more and that was not counted after its last task."""
        worker.disk.again = None
        if worker.alive and not worker.handed and not worker.disk.running:
            self.spawn(self._count_leftovers(worker))

    async def _count_leftovers(self, worker: Worker) -> None:
        if await self._count_in_thread(worker, None) and worker.alive:
            worker.log.warning("tasks left more than the disk cap allows: the instance is replaced")
            self.replace(worker)

    async def _count_in_thread(self, worker: Worker, attempt: Attempt | None, ended: bool = False) -> bool:
        written = attempt.written() if attempt is not None else 0
        known = None if attempt is None or ended else known_files(attempt)
        worker.disk.running = True
        try:
            return await asyncio.to_thread(self._count, worker, written, known)
        finally:
            worker.disk.running = False

    def _count(self, worker: Worker, written: int, known: set[File] | None) -> bool:
        """Count now, in any thread. Returns whether the instance, with what was written elsewhere, exceeds its cap."""
        clock = worker.loop.time
        began, free, most = clock(), free_at(worker.disk.place), self._most(written)
        try:
            use = worker.instance.disk_use(most, known)
        except OSError as error:
            worker.log.error("the disk in use cannot be counted", why=str(error))
            use = Use()
        worker.disk.counted(use, free, began, clock())
        return use.exceeds(most)

    def _most(self, written: int) -> Use:
        """The cap of the instance, less what its task has written elsewhere."""
        return Use(self.limits.disk_bytes - written, self.inodes)


def known_files(attempt: Attempt) -> set[File]:
    """The files that an attempt writes into and that are counted as its own."""
    return {(status.st_dev, status.st_ino) for status in map(os.fstat, attempt.files())}
