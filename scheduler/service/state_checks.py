"""What is wrong with the place of a state directory, one sentence each: told at start, and by `remora doctor`.

A file system that is mounted `noexec` runs no program that lies on it, and the scripts of tasks in /tmp and their
assets lie below the state directory (their tools do not, then: `tools_place`). One that is nearly full lets no instance
be made. In containers tasks have a disk of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scheduler.agent.slots import capacity
from scheduler.providers.tools_place import runs_programs

NOEXEC = (
    "is on a file system that runs no programs (noexec): tasks can start scripts and assets of their own only by their "
    "interpreter (`bash FILE`)"
)


def troubles(state_dir: Path) -> Iterator[str]:
    """What keeps tasks from running here, or from running well."""
    place = existing(state_dir)
    if not runs_programs(place):
        yield f"{place} {NOEXEC}: say --state-dir DIR"
    if why := why_no_instance(place):
        yield f"no task runs until there is room: {why}"


def why_no_instance(state_dir: Path) -> str | None:
    """What there is too little of for an instance now."""
    return capacity.shortage(existing(state_dir))


def existing(path: Path) -> Path:
    """The directory, or the one above it where it would be made."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
