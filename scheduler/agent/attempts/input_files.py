"""The files through which map tasks see their input.

An input appears at the object's own name below `/manta`, so that a script may use the name. But a
file system has limits that object names do not have: a component over 255 bytes is cut to 250 and
ends in `_…`; a path over 1024 bytes keeps its first and last components around `/_…/`.

`Inputs` makes it appear: the blob gets a second name (a hard link: 9 µs, no mount, no copy) below
the instance's `input` directory, which its tasks see read-only, and loses it afterwards.
Directories stay, because the next object is likely in the same one. So names can conflict: an
object may have the name of a directory. An input whose name conflicts with that of a queued task
has to wait (`BusyError`); a stale directory is removed.
"""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from datapath import blobfile
from scheduler.model import names

MAX_COMPONENT = 255
CUT_COMPONENT = 250
MAX_PATH = 1024
CUT_MARK = "_…"


Stamp = tuple[int, int, int]


def stamp(status: os.stat_result) -> Stamp:
    """Mode, size and time of the last write: a task that changes its input can hardly keep them all.

    Not the time of the last change to the inode: the agent's own links change that.
    """
    return status.st_mode, status.st_size, status.st_mtime_ns


class BusyError(Exception):
    """The name is in use by a task that has not ended; try again when the instance is idle."""


class Place(NamedTuple):
    """The place of an object in the file system: `path` begins with a slash, below the directory of inputs."""

    path: str
    unusual: bool


def place_of(name: str) -> Place:
    """The place of an object. Raises ValueError for a name that no object can have."""
    if not names.is_normal(name):
        raise ValueError(f"not the name of an object: {name!r}")
    if len(name.encode()) <= MAX_COMPONENT:
        return Place(name, False)
    path = shorten("/" + "/".join(map(cut_component, name.split("/")[1:])))
    return Place(path, path != name)


def cut_component(part: str) -> str:
    raw = part.encode()
    if len(raw) <= MAX_COMPONENT:
        return part
    return raw[:CUT_COMPONENT].decode(errors="ignore") + CUT_MARK


def shorten(path: str) -> str:
    """Drop components from the middle of a path over `MAX_PATH` bytes."""
    if len(path.encode()) <= MAX_PATH:
        return path
    components = path.split("/")[1:]
    head, tail, budget = 0, 0, MAX_PATH - len(f"/{CUT_MARK}".encode())
    while head + tail < len(components):
        from_tail = tail <= head
        part = components[-1 - tail] if from_tail else components[head]
        budget -= len(part.encode()) + 1
        if budget < 0:
            break
        head, tail = (head, tail + 1) if from_tail else (head + 1, tail)
    return "/" + "/".join([*components[:head], CUT_MARK, *components[len(components) - tail :]])


class Inputs:
    """The files below one instance's `input` directory."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # path -> the blob there, and the number of queued tasks that use it
        self._users: dict[str, tuple[str, int]] = {}
        self._directory = lru_cache(maxsize=64)(self._make_directory)

    def add(self, path: str, blob: str, fd: int | None) -> None:
        """Make the file behind `fd` (None: an empty one), whose blob is `blob`, appear at `path`.

        Raises BusyError or OSError.
        """
        present, users = self._users.get(path, (blob, 0))
        if present != blob:
            raise BusyError(path)
        if not users:
            self._make(path, fd)
        self._users[path] = (blob, users + 1)

    def close(self) -> None:
        os.close(self._root_fd)

    def remove(self, path: str) -> None:
        """Remove the file at `path` unless another queued task uses it."""
        name, users = self._users.pop(path)
        if users > 1:
            self._users[path] = (name, users - 1)
            return
        try:
            os.unlink(path[1:], dir_fd=self._root_fd)
        except FileNotFoundError:
            return

    def _make(self, path: str, fd: int | None) -> None:
        directory = path.rpartition("/")[0]
        try:
            self._directory(directory)
            self._appear(path, fd)
        except (FileExistsError, NotADirectoryError):
            self._clear(path)
            self._directory(directory)
            self._appear(path, fd)

    def _clear(self, path: str) -> None:
        """Remove what is in the way of `path`. Raises BusyError if a queued task uses it."""
        above = {"/".join(path.split("/")[:end]) for end in range(2, path.count("/") + 1)}
        if any(other in above or other.startswith(path + "/") for other in self._users):
            raise BusyError(path)
        self._directory.cache_clear()
        for obstacle in (*sorted(above), path):
            full = self.root + obstacle
            if obstacle == path and os.path.isdir(full) and not os.path.islink(full):
                shutil.rmtree(full)
            elif os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full)):
                os.unlink(full)

    def _make_directory(self, path: str) -> None:
        os.makedirs(self.root + path, mode=0o755, exist_ok=True)

    def _appear(self, path: str, fd: int | None) -> None:
        if fd is None:
            os.close(os.open(self.root + path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444))
        else:
            blobfile.link(fd, self._root_fd, path[1:])
