"""The node's capacity: the largest tiers that it can offer, and whether there is room for one more
instance.

A tier is a cap, and most tasks stay far below it. Feasibility therefore depends on what the node
has in all, not on what is free now: a phase whose memory tier exceeds the machine's memory, or
whose disk tier exceeds the whole file system, can never run here. The default tiers are always
offered; otherwise a small machine could not run a job that names no tiers, though its tasks need
little.

Memory is reserved by tier, when instances are allotted to pools. Disk and processes are not: their
caps are a hundred times what is used, and reserving them would leave the machine idle. Instead the
agent checks what is free, on the machine and in its own control group, before it makes an instance;
while that is scarce, the tasks wait. An instance that exists keeps its slot: should the disk fill up
meanwhile, `disk_pressure` ends the task that has written most.

Example: 24 GiB of memory and a file system of 252 GiB, 77 of them free, offer all tiers of
memory, and of disk those up to 128 GB. A machine of 8 GB, of which the kernel leaves 7.7 GiB,
does not offer 8192 MB.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from scheduler.common.disk_reserve import sized
from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB, DISK_GB
from scheduler.providers.linux.cgroups import own_limit, own_processes, read

# Free disk and memory below which no instance is made: a tenth of the total on a small machine, at most this much.
SPARE_DISK = DISK_GB[0] << 30
SPARE_PROCESSES = 1024
SMALL = 10


def memory_mb() -> int:
    """MiB of memory that the machine has, or that our own control group lets us use of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = own_limit()
    return max(DEFAULT_MEMORY_MB, (physical if limit is None else min(physical, limit)) >> 20)


def disk_gb(directory: Path) -> int:
    """GiB of the file system that holds a directory, in use or not."""
    status = os.statvfs(directory)
    return max(DEFAULT_DISK_GB, status.f_frsize * status.f_blocks >> 30)


def shortage(directory: Path) -> str | None:
    """The resource that is too scarce for another instance now, as a sentence for the operator; else None."""
    status = os.statvfs(directory)
    total, free = (status.f_frsize * blocks for blocks in (status.f_blocks, status.f_bavail))
    least = min(SPARE_DISK, total // SMALL)
    if free < least:
        return f"{sized(free)} of {sized(total)} of its disk are free, which is less than {sized(least)}"
    for present, most in ((processes(), process_limit()), *own_processes()):
        if most - present < min(SPARE_PROCESSES, most // SMALL):
            return f"{most - present} of its {most} processes are free"
    return None


def process_limit() -> int:
    """The number of processes and threads that this machine can have."""
    found = []
    for name in ("pid_max", "threads-max"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(read(f"/proc/sys/kernel/{name}")))
    return min(found)


def processes() -> int:
    """The number of processes and threads now: the second number of "1/402" in /proc/loadavg."""
    return int(read("/proc/loadavg").split()[3].partition("/")[2])
