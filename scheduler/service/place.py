"""What is wrong with the place of a state directory, one sentence each: told at start, and by `remora doctor`.

A file system that is mounted `noexec` runs no program that lies on it, and the tools of tasks, their scripts in /tmp
and their assets lie below the state directory. One that is nearly full lets no instance be made. In containers tasks
have a disk of their own, but the tools that they are shown lie on ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from scheduler.agent import capacity

NOEXEC = (
    "is on a file system that runs no programs (noexec): tasks have no mget or msplit, and cannot run their scripts"
)


def troubles(state_dir: Path) -> Iterator[str]:
    """What keeps tasks from running here, or from running well."""
    place = existing(state_dir)
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        yield f"{place} {NOEXEC}: say --state-dir DIR"
    if why := why_no_instance(place):
        yield f"no task runs until there is room: {why}"


def why_no_instance(state_dir: Path) -> str | None:
    """What there is too little of for an instance now."""
    return capacity.shortage(existing(state_dir))


def existing(path: Path) -> Path:
    """The directory, or the one above it where it would be made."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
