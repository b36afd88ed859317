"""Keeping tasks within their tier where the kernel does not: memory without a control group, and disk.

Memory in use is looked at with every tick. What lies on disk has to be added up, file by file, which may
take long: so only for tasks that run longer than others, in a thread, and seldom if it takes long.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine

from scheduler.agent.attempt import Attempt
from scheduler.agent.verdict import Stop
from scheduler.agent.worker import Worker
from scheduler.providers import InstanceSpec

# Disk in use is added up for tasks that run longer than this, in seconds, and then so often...
COUNT_AFTER = 1.0
COUNT_EVERY = 1.0
# ... or so many times more seldom than it takes.
COUNT_SHARE = 20.0


class Caps:
    """Of one pool's instances."""

    def __init__(self, limits: InstanceSpec, spawn: Callable[[Coroutine[None, None, None]], None]) -> None:
        self._limits = limits
        self._spawn = spawn

    def look(self, worker: Worker, running: Attempt, now: float) -> None:
        """What does the task that runs have in use?"""
        used = worker.instance.memory_used()
        if used is not None:
            running.peak_kb = max(running.peak_kb, used >> 10)
            if used > self._limits.memory_bytes:
                worker.stop(running, Stop.MEMORY)
        running.disk_full = running.disk_full or worker.instance.disk_full()
        if now >= max(worker.next_count, running.began + COUNT_AFTER):
            worker.next_count = math.inf
            self._spawn(self._count_disk(worker, running))

    async def _count_disk(self, worker: Worker, running: Attempt) -> None:
        """Add up what an instance and its task have on disk; a task that has too much ends."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        used = await asyncio.to_thread(worker.instance.disk_used)
        if running.number in worker.handed and used + running.written() > self._limits.disk_bytes:
            worker.stop(running, Stop.DISK)
        worker.next_count = loop.time() + max(COUNT_EVERY, COUNT_SHARE * (loop.time() - began))
