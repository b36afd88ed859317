"""Foreign load: the share of all processors that other programs use while a row is measured.

All that the row itself starts descends from this process, and its time is known: what it has used so far, and what its
children had used that have ended. The kernel's threads write to the disk what the row leaves there: their time counts
as its own. The rest of the time in which the processors were busy is foreign.
"""

from __future__ import annotations

import os
from pathlib import Path

KERNEL_THREAD = 0x00200000  # PF_KTHREAD among the flags of a process, proc_pid_stat(5)


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
    """Ticks of this process and its descendants, those that have ended included, and of the kernel's threads."""
    children: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
            used[int(entry)] = ticks = sum(map(int, fields[11:15]))
            total += ticks if int(fields[6]) & KERNEL_THREAD else 0
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        total += used.get(pid, 0)
        todo += children.get(pid, [])
    return total
