"""The largest tiers that this node can offer, so that nobody waits here for more.

A tier is a cap, and most tasks stay far below it. So what counts is not what is free now, but
what there is: a phase whose memory tier exceeds the machine's memory, or whose disk tier the
whole file system, could be promised nothing here, ever. The default tiers are always offered;
else a small machine could not run a job that says nothing of tiers, though its tasks need little.

Example: 24 GiB of memory and a file system of 252 GiB, 77 of them free, offer all tiers of
memory, and of disk those up to 128 GB. A machine of 8 GB, of which the kernel leaves 7.7 GiB,
does not offer 8192 MB.
"""

from __future__ import annotations

import os
from pathlib import Path

from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB
from scheduler.providers.cgroups import own_limit


def memory_mb() -> int:
    """MiB of memory that the machine has, or that our own control group lets us use of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = own_limit()
    return max(DEFAULT_MEMORY_MB, (physical if limit is None else min(physical, limit)) >> 20)


def disk_gb(directory: Path) -> int:
    """GiB of the file system that holds a directory, in use or not."""
    status = os.statvfs(directory)
    return max(DEFAULT_DISK_GB, status.f_frsize * status.f_blocks >> 30)
