"""The reaper of the zombies that a service inherits as PID 1.

The first process of a container becomes the parent of each process whose own parent has died: of lackeys, if an agent
is killed. The kernel keeps an ended process as a zombie until its parent waits for it, which no other part of a
service would do. Children of the service itself are waited for at once when they end; so a zombie that is found
twice, `PAUSE` seconds apart, is an inherited one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from scheduler.providers.linux.process_tree import children

PAUSE = 5.0
INIT = 1


class Reaper:
    """Finds the zombies among the children of this process."""

    def __init__(self) -> None:
        self._before: set[int] = set()

    def look(self) -> int:
        """Reap the zombies that the previous look found too; returns how many."""
        now = set(zombies())
        stale = now & self._before
        for pid in stale:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._before = now - stale
        return len(stale)


def zombies() -> Iterator[int]:
    """The ids of children that have ended and were not waited for."""
    return filter(is_zombie, children(os.getpid()))


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


async def reap_forever() -> None:
    """Reap inherited zombies, if this process is the first of its namespace; others inherit none."""
    reaper = Reaper()
    while os.getpid() == INIT:
        reaper.look()
        await asyncio.sleep(PAUSE)
