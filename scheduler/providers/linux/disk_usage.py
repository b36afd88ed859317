"""Measuring the disk use of tasks, where they have no file system of their own.

Allocated resources count: blocks, those beyond a file's end included, and inodes, since each empty file costs the
file system one too. A tree is walked by descriptors, so that a path may be longer than the kernel accepts, and no
rename by a task can lead the walk out of it. Three rules bound the walk:

- It ends as soon as the sum exceeds the cap.
- A directory below more than `MAX_DEPTH` others is not opened: it counts as exceeding the cap.
- A directory whose mode forbids its owner to read it gets another mode for a moment, if the agent's user is the
  owner. One of another user (`subordinate_users`) is read by a program with the right to do so.

A file without a name exists as long as a process has it open. `unlinked` finds these by the
descriptors and mappings of processes; it cannot see those in flight through a unix socket.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.providers.linux.subordinate_users import OpenFile, SubordinateUsers

BLOCK = 512
# the ratio of the file system of a container
INODES_PER_GIB = 32768
GIB = 1 << 30
MAX_DEPTH = 128
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READABLE = stat.S_IRUSR | stat.S_IXUSR
File = tuple[int, int]  # device and inode


class TooDeepError(Exception):
    """Directories are nested too deeply to be counted."""


@dataclass(slots=True)
class Use:
    """The space and inodes that files take on a file system."""

    bytes: int = 0
    inodes: int = 0

    def add(self, status: os.stat_result) -> None:
        self.bytes += status.st_blocks * BLOCK
        self.inodes += 1

    def exceeds(self, most: Use) -> bool:
        return self.bytes > most.bytes or self.inodes > most.inodes


NOTHING = Use()
EVERYTHING = Use(1 << 62, 1 << 62)


def inodes_of(size: int) -> int:
    """The number of files that a disk of `size` bytes may hold."""
    return -(-size // GIB) * INODES_PER_GIB


def below(root: Path, most: Use, leave_out: Collection[str] = (), users: SubordinateUsers | None = None) -> Use:
    """The use below `root`, except the entries `leave_out` in it; counting stops once it exceeds `most`.

    `users`: the owners that files may have besides us. Raises OSError.
    """
    use = Use()
    with contextlib.suppress(FileNotFoundError):
        directory = os.open(root, DIRECTORY)
        try:
            _walk(directory, use, most, leave_out, 0)
        except TooDeepError:
            return EVERYTHING
        except PermissionError:
            if users is None:
                raise
            return found_inside(users, root, most, leave_out)
        finally:
            os.close(directory)
    return use


def found_inside(users: SubordinateUsers, root: Path, most: Use, leave_out: Collection[str]) -> Use:
    """The same, by a program that has all privileges over the files of `users`. Raises OSError."""
    use = Use()
    left_out = [word for name in leave_out for word in ("-path", f"./{name}", "-prune", "-o")]
    with contextlib.closing(
        users.lines("find", ".", "-mindepth", "1", *left_out, "-printf", r"%b\n", cwd=root)
    ) as lines:
        for blocks in lines:
            use.bytes += int(blocks) * BLOCK
            use.inodes += 1
            if use.exceeds(most):
                break
    return use


def _walk(directory: int, use: Use, most: Use, leave_out: Collection[str], depth: int) -> None:
    """Add the contents of an open directory. Raises TooDeepError."""
    inner = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in leave_out:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                use.add(status)
                if stat.S_ISDIR(status.st_mode):
                    inner.append((entry.name, stat.S_IMODE(status.st_mode)))
            if use.exceeds(most):
                return
    if inner and depth >= MAX_DEPTH:
        raise TooDeepError
    for name, mode in inner:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            fd = os.open(name, DIRECTORY, dir_fd=directory) if is_open(mode) else open_closed(name, directory)
            try:
                _walk(fd, use, most, (), depth + 1)
            finally:
                if not is_open(mode):
                    os.fchmod(fd, mode)
                os.close(fd)
        if use.exceeds(most):
            return


def is_open(mode: int) -> bool:
    """Whether the mode of a task's directory lets us read it."""
    return mode & READABLE == READABLE or os.geteuid() == 0


def open_closed(name: str, parent: int) -> int:
    """A descriptor of a directory of ours whose mode forbids reading; its mode is restored later. Raises OSError."""
    place = os.open(name, DIRECTORY | os.O_PATH, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", READABLE)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)


def unlinked(pids: Iterable[int], device: int, known: Collection[File], users: SubordinateUsers | None = None) -> int:
    """Bytes on `device` of files without a name that processes have open or mapped, except those that are `known`."""
    seen = {}
    for status in opened_by(list(pids), users):
        if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
            seen[device, status.st_ino] = status.st_blocks * BLOCK
    return sum(size for file, size in seen.items() if file not in known)


def opened_by(pids: Sequence[int], users: SubordinateUsers | None) -> Iterator[os.stat_result | OpenFile]:
    """The files that processes have open, and mapped if we are root; `users`: those that they may have besides us."""
    theirs = [] if users is None else users.of(pids)
    for pid in pids:
        if pid not in theirs:
            yield from opened(pid, os.geteuid() == 0)
    if users is not None:
        yield from users.opened(theirs)


def opened(pid: int, mapped: bool) -> Iterator[os.stat_result]:
    """The files that a process has open and, if root asks for it, `mapped`; none if it is gone or not accessible."""
    for place in ("fd", "map_files") if mapped else ("fd",):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for name in os.listdir(f"/proc/{pid}/{place}"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    yield os.stat(f"/proc/{pid}/{place}/{name}")
