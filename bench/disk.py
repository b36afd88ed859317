"""The disk below the bench: whether its file system makes what is measured slower than it is elsewhere.

On ext4 without a journal the kernel looks through the inodes that were deleted in the last minutes before it makes a
new one (`recently_deleted` in fs/ext4/ialloc.c), and each round leaves thousands of those: small files are then made
up to ten times as slowly.
"""

from __future__ import annotations

import os
from pathlib import Path

JOURNALS = Path("/proc/fs/jbd2")  # has a folder DEVICE-INODE for each journal in use


def lacks_journal(directory: Path) -> bool:
    """Whether a directory is on ext4 without a journal."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{number}"))
    journals = os.listdir(JOURNALS) if JOURNALS.is_dir() else []
    return is_ext4(number, Path("/proc/self/mountinfo").read_text()) and not has_journal(name, journals)


def is_ext4(number: str, mountinfo: str) -> bool:
    """Whether the device `number` (MAJOR:MINOR) is mounted as ext4, by the lines of proc_pid_mountinfo(5)."""
    mounts = (line.split() for line in mountinfo.splitlines())
    return any(words[2] == number and words[words.index("-") + 1] == "ext4" for words in mounts)


def has_journal(name: str, journals: list[str]) -> bool:
    """Whether one of the journals in use is that of a device."""
    return any(journal.rpartition("-")[0] == name for journal in journals)
