"""Checks of a state directory's place, one sentence for each trouble: shown at start, and by `remora doctor`.

A file system that is mounted `noexec` runs no program that lies on it. This concerns the scripts of tasks in /tmp and
their assets, which lie below the state directory (their tools then do not: `tools_place`). A file system that is nearly
full has no room for an instance. In containers tasks have a disk of their own.
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
    """The reasons why tasks cannot run here, or not well."""
    place = existing(state_dir)
    if not runs_programs(place):
        yield f"{place} {NOEXEC}: say --state-dir DIR"
    if why := why_no_instance(place):
        yield f"no task runs until there is room: {why}"


def why_no_instance(state_dir: Path) -> str | None:
    """The resource of which there is too little for an instance now; None if there is enough."""
    return capacity.shortage(existing(state_dir))


def existing(path: Path) -> Path:
    """The directory, or if it does not exist the nearest one above it."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
