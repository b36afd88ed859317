"""Foreign load: the share of all processors that other programs use while a row is measured.

All that the row itself starts descends from this process, and its time is known: what it has used so far, and what its
children had used that have ended. The rest of the time in which the processors were busy is foreign.
"""

from __future__ import annotations

import os
from pathlib import Path


class Watch:
    """Watches from its making on."""

    def __init__(self) -> None:
        self._idle, self._total = processor_ticks()
        self._own = own_ticks()

    def foreign_load(self) -> float:
        """The share since the watch began: 0.0 is a machine of our own."""
        idle, total = processor_ticks()
        if total == self._total:
            return 0.0
        busy = (total - self._total) - (idle - self._idle)
        return max(0.0, busy - (own_ticks() - self._own)) / (total - self._total)


def processor_ticks() -> tuple[int, int]:
    """`(idle, all)` ticks of all processors since boot."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def own_ticks() -> int:
    """Ticks of this process and its descendants, those that have ended included."""
    children: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
            used[int(entry)] = sum(map(int, fields[11:15]))
    todo, total = [os.getpid()], 0
    while todo:
        pid = todo.pop()
        total += used.get(pid, 0)
        todo += children.get(pid, [])
    return total
