"""The disk below the bench: whether its file system makes what is measured slower than it is elsewhere.

On ext4 without a journal the kernel looks through the inodes that were deleted in the last minutes before it makes a
new one (`recently_deleted` in fs/ext4/ialloc.c), and each round leaves thousands of those: small files are then made
up to ten times as slowly.
"""

from __future__ import annotations

import os
from pathlib import Path


def lacks_journal(directory: Path) -> bool:
    """Whether a directory is on ext4 without a journal."""
    device = os.stat(directory).st_dev
    return is_without(os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")))


def is_without(device: str, mounted: Path = Path("/sys/fs/ext4"), journals: Path = Path("/proc/fs/jbd2")) -> bool:
    """Whether a device is mounted by the ext4 driver and has no journal.

    `mounted` has a folder for each device of the driver, `journals` a folder DEVICE-INODE for each journal in use.
    """
    return (mounted / device).is_dir() and not any(journals.glob(f"{device}-*"))
