"""The place of the directory of tools: the state directory, or another one if that lies on a noexec file system.

A file system that is mounted `noexec` runs no program that lies on it. The tools of tasks are copies of programs; in
that case the agent keeps them in a directory of its own, below the first of a few places that runs programs. Files of
tasks stay in the state directory all the same, since the disk is accounted there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from scheduler.providers.instance_ids import owner_id

ELSEWHERE = ("/run", "/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 (a directory of ours is made there, or refused)


def runs_programs(directory: Path) -> bool:
    return not os.statvfs(directory).f_flag & os.ST_NOEXEC


def tools_place(state_dir: Path) -> Path:
    """The path of the directory of tools, which need not exist. Raises OSError if another user has taken its place."""
    inside = state_dir / "tools"
    if runs_programs(state_dir):
        return inside
    place = writable_place((os.environ.get("XDG_RUNTIME_DIR", ""), *ELSEWHERE))
    return inside if place is None else own_directory(place / f"remora-{os.geteuid()}-{owner_id(state_dir)}") / "tools"


def writable_place(places: Iterable[str]) -> Path | None:
    """The first of these places in which we can make files and run programs."""
    for place in map(Path, places):
        if place.is_absolute() and place.is_dir() and os.access(place, os.W_OK | os.X_OK) and runs_programs(place):
            return place
    return None


def own_directory(path: Path) -> Path:
    """Make or check a directory that only we can write to, although others may know its name. Raises OSError."""
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise PermissionError(f"{path}, where tools of tasks are to lie, is not ours alone: remove it")
    return path


def leave(tools: Path, state_dir: Path) -> None:
    """Remove a directory of tools that is not in the state directory."""
    if not tools.is_relative_to(state_dir):
        shutil.rmtree(tools.parent, ignore_errors=True)
