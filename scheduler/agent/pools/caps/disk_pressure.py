"""Protection against a full disk: when the machine's disk runs out, the agent ends the task that
has written most.

A task's disk cap limits the task; it says nothing about what is free. Where less is free than the cap, a task fills
the disk first, and then nothing can be written any more: no other task's output, no object, no record of the
failure. So free space is a cap of its own. While tasks run it is measured, the more often the less is left, since a
task on tmpfs writes gigabytes a second. When it falls below the reserve (`common.space`):

- The task that has most on the disk is ended and fails, and its space is freed before its report is made. Its
  output and its instance count, including what earlier tasks left there.
- A task that has little there is never blamed, however full the disk is: others have filled it.
- No task begins until there is room again.
- A task that ends badly meanwhile, but is not the one to blame, is lost, not failed: it is retried.

Example: 400 MB, of which 25 MB are the reserve. `yes` has written 340 MB when 20 MB are left, and a dozen other tasks
some KB each. `yes` is killed, the others run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.verdict import Stop
from scheduler.agent.log import Log
from scheduler.agent.pools.caps.disk_count import FASTEST, LOOK_EVERY
from scheduler.agent.pools.caps.tier_limits import known_files
from scheduler.agent.pools.worker import Worker
from scheduler.common.disk_reserve import Space, is_ample, space_at, space_of
from scheduler.providers.linux.disk_usage import EVERYTHING, Use

# Seconds between two looks, at least and at most.
SHORTEST, LONGEST = 0.02, 0.25
# A task is blamed if it has at least this part of the reserve: one in so many.
BLAMED_SHARE = 16
# Seconds in which the files of a killed task should be gone, before another task is blamed.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """The disk use of an instance and of the task that runs there."""

    worker: Worker
    attempt: Attempt | None
    use: Use


def pause_until_next(space: Space) -> float:
    """Seconds in which no task can use up the space above the reserve."""
    return min(max(SHORTEST, (space.free - space.reserve) / FASTEST), LONGEST)


def to_blame(loads: Iterable[Load], space: Space) -> Load | None:
    """The load that has most of the scarce resource; None if none has much."""
    known = list(loads)
    if space.free >= space.reserve:
        heaviest = max(known, key=lambda load: load.use.inodes, default=None)
        return heaviest if heaviest and heaviest.use.inodes * BLAMED_SHARE >= space.files // BLAMED_SHARE else None
    heaviest = max(known, key=lambda load: load.use.bytes, default=None)
    return heaviest if heaviest and heaviest.use.bytes * BLAMED_SHARE >= space.reserve else None


def load_of(worker: Worker, attempt: Attempt | None, ended: bool = False) -> Load:
    """Count the disk use of one instance. In any thread."""
    written, use = 0, Use()
    with contextlib.suppress(OSError):  # it may end at this moment
        written = 0 if attempt is None else attempt.written()
        known = None if attempt is None or ended else known_files(attempt)
        use = worker.instance.disk_use(EVERYTHING, known)
    return Load(worker, attempt, Use(use.bytes + written, use.inodes))


class Pressure:
    """The watch over the disk below `directory`. `workers` gives the instances."""

    def __init__(self, directory: Path, workers: Callable[[], Iterable[Worker]], log: Log) -> None:
        self.short = False
        self._place = str(directory)
        self._workers = workers
        self._log = log
        self._victim: Attempt | None = None
        self._until = 0.0  # event loop time until which the victim's files may remain
        self._ample_until = 0.0  # event loop time until which no task can use up what is free

    def space(self) -> Space:
        return space_at(self._place)

    def __str__(self) -> str:
        return f"its disk is full, {self.space()}"

    async def look(self, replace: Callable[[Worker], None]) -> float:
        """Measure once, and end the task to blame; seconds until the next look. `replace` ends an idle instance."""
        space = self.space()
        if space.short != self.short:
            self.short = space.short
            told = self._log.error if space.short else self._log.info
            told("the disk is full: no task begins" if space.short else "the disk has room again", space=str(space))
        if space.short and not self._waits():
            await self._relieve(space, replace)
        return pause_until_next(space)

    def _waits(self) -> bool:
        """Whether the files of a victim are still about to be removed."""
        now = asyncio.get_running_loop().time()
        gone = self._victim is None or self._victim.emptied
        return now < (self._until - GRACE + LONGEST if gone else self._until)

    async def _relieve(self, space: Space, replace: Callable[[Worker], None]) -> None:
        guilty = to_blame(await self._loads(), space)
        if guilty is None or not guilty.worker.alive:
            return
        self._victim, self._until = guilty.attempt, asyncio.get_running_loop().time() + GRACE
        told = {"space": str(space), "mb": guilty.use.bytes >> 20}
        guilty.worker.log.warning("the disk is full, and this instance has most of it", **told)
        if guilty.attempt is None:
            replace(guilty.worker)
        else:
            guilty.worker.stop(guilty.attempt, Stop.FULL)

    async def _loads(self, ended: Attempt | None = None, of: Worker | None = None) -> list[Load]:
        pairs = [(worker, next(iter(worker.handed.values()), None)) for worker in self._workers() if worker.alive]
        counts = [asyncio.to_thread(load_of, worker, attempt) for worker, attempt in pairs if worker is not of]
        if of is not None:
            counts.append(asyncio.to_thread(load_of, of, ended, True))
        return await asyncio.gather(*counts)

    def doubts(self, attempt: Attempt, status: int, now: float) -> Space | None:
        """The free space, if its lack may be why a task ended as it did; else None. Called after every task."""
        if now < self._ample_until:
            return None
        found = os.statvfs(self._place)
        if is_ample(found):
            self._ample_until = now + LOOK_EVERY
            return None
        if attempt.stop is not None:
            return None
        space = space_of(found)
        return space if (space.short if status else space.full) else None

    async def judge(self, worker: Worker, attempt: Attempt, status: int, space: Space) -> None:
        """Set `attempt.stop` if a task is to blame for a full disk, or ended badly because of one."""
        guilty = to_blame(await self._loads(attempt, worker), space)
        if guilty is not None and guilty.attempt is attempt:
            attempt.stop = Stop.FULL
        elif status:
            attempt.stop = Stop.CROWDED
