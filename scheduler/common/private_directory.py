"""A private directory: one that this user made, and that other users can neither write to nor replace.

Its contents are trusted (databases, secrets, programs to be run), often as root, and its name comes from a command
line: another user may have made `/tmp/try` just before, as a directory with malicious files or as a link to one of
ours. So nothing is opened below it before these conditions are checked for the directory and the way to it:

- each directory on the way belongs to root or to us, and others may not write to it, unless it is sticky as `/tmp` is
  (there, only the owner of an entry can remove it);
- each link on the way belongs to root or to us, too;
- the directory itself belongs to us, and only we may write to it. If others may, their permission is removed if it is
  empty; otherwise its files may be theirs, and it is refused.

The way is walked by descriptors, one component after the other, and the result is a descriptor.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from pathlib import Path

MAX_LINKS = 40
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPrivateError(Exception):
    """The directory cannot be made private; the text says why."""


def open_private(path: Path, make: bool = True) -> int:
    """Open a private directory, made if need be; the caller owns the descriptor. Raises NotPrivateError or OSError."""
    path = path.absolute()
    way = Way(path, make)
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=way.fd)
    finally:
        way.close()
    try:
        close_to_others(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_own_file(name: str, flags: int, directory: int, mode: int = 0o600) -> int:
    """Open a file in a private directory, following no link. Raises OSError, also for another user's file."""
    fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=directory)
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise PermissionError(errno.EPERM, "it is not a file of this user", name)
    return fd


def close_to_others(fd: int, path: Path) -> None:
    """Take away the permissions of other users.

    Raises NotPrivateError if they may own the directory or its contents.
    """
    found = os.fstat(fd)
    if found.st_uid != os.geteuid():
        raise NotPrivateError(f"{path} belongs to another user: choose one of your own with --state-dir")
    if found.st_mode & OTHERS_WRITE and os.listdir(fd):
        raise NotPrivateError(
            f"others may write to {path} (mode {stat.S_IMODE(found.st_mode):o}), so what is in it may be theirs: "
            "choose a new directory with --state-dir, or, if you know that all of it is yours, chmod 700 it"
        )
    os.fchmod(fd, 0o700)


def is_trusted(user: int) -> bool:
    """Whether a user is root or this one; in a user namespace also any owner outside of it, such as the real root."""
    return user in (0, os.geteuid()) or (user == unmapped() != 0)


@functools.cache
def unmapped() -> int:
    """The id by which owners outside of our user namespace appear; 0 if there is nothing outside."""
    with open("/proc/self/uid_map") as file:
        if file.read().split() == ["0", "0", "4294967295"]:
            return 0
    with open("/proc/sys/kernel/overflowuid") as file:
        return int(file.read())


class Way:
    """The way to a directory, walked to its end: `fd` is the directory. Raises NotPrivateError or OSError."""

    def __init__(self, path: Path, make: bool) -> None:
        self.fd = os.open("/", DIRECTORY)
        self._at = Path("/")
        self._make = make
        self._links = 0
        self._left = [*path.parts[1:]]
        try:
            while self._left:
                self._step(self._left.pop(0))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def _step(self, name: str) -> None:
        self._require_trusted()
        found = self._look(name)
        if stat.S_ISLNK(found.st_mode):
            self._follow(name, found)
            return
        fd = os.open(name, DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = fd
        self._at = self._at.parent if name == ".." else self._at / name

    def _look(self, name: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            if not self._make:
                raise
        os.mkdir(name, 0o755 if self._left else 0o700, dir_fd=self.fd)
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def _follow(self, name: str, found: os.stat_result) -> None:
        where = self._at / name
        if not is_trusted(found.st_uid):
            raise NotPrivateError(f"{where} is a link of another user: choose a directory of your own with --state-dir")
        self._links += 1
        if self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(where))
        target = Path(os.readlink(name, dir_fd=self.fd))
        if target.is_absolute():
            os.close(self.fd)
            self.fd, self._at = os.open("/", DIRECTORY), Path("/")
        self._left[:0] = [part for part in target.parts if part != "/"]

    def _require_trusted(self) -> None:
        """Check that only root and this user can replace an entry of the current directory."""
        found = os.fstat(self.fd)
        sticky = found.st_mode & stat.S_ISVTX
        groups = stat.S_IWGRP if found.st_gid not in (0, os.getegid()) else 0
        if not is_trusted(found.st_uid) or (not sticky and found.st_mode & (stat.S_IWOTH | groups)):
            raise NotPrivateError(
                f"others could put a directory of theirs below {self._at}, which belongs to user {found.st_uid} "
                f"and has mode {stat.S_IMODE(found.st_mode):o}: choose another place with --state-dir"
            )
