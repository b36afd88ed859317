"""Files of this machine: read from trees, written below one directory.

A `Target` is a directory that was named by the user, and the only place below which a run writes. A path below it is a
tuple of names. Each directory on the way is opened from the one above and never through a symbolic link, so neither a
name from the service (`..`, `a/b`) nor a link that lies there already leads out of it.

A file is written under another name beside, which follows from the version that is fetched, and renamed when it is
whole. A second run finds what the first one has left of it; two runs at once do not meet, since it is locked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import BinaryIO

from cli.client.problem import Problem
from cli.client.transfer import rest_md5
from cli.text import escape
from scheduler.model.names import bad_segment

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
PART_BEGINS, PART_ENDS = ".mget-", ".part"
Parts = tuple[str, ...]


def checked(name: str) -> str:
    """A name from the service that is to be one of a file. Raises `Problem` if it is more or less than that."""
    if not name or bad_segment(name):
        raise Problem(f'"{escape(name)}" cannot be the name of a file')
    return name


class Target:
    """A directory to write below. With `make` it is made if it is not there; without, nothing is below then."""

    def __init__(self, root: str, *, make: bool = True) -> None:
        self.root = root
        self._make = make

    def shown(self, parts: Parts) -> str:
        return os.path.join(self.root, *parts)

    @contextmanager
    def directory(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """A descriptor of a directory below. Raises `Problem`, `OSError`."""
        current = os.dup(self._descriptor)
        try:
            for index, name in enumerate(parts, 1):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(checked(name), dir_fd=current)
                try:
                    below = os.open(checked(name), DIRECTORY, dir_fd=current)
                except NotADirectoryError:
                    raise Problem(
                        f"{escape(self.shown(parts[:index]))} is no directory: nothing is written there"
                    ) from None
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    @cached_property
    def _descriptor(self) -> int:
        if self._make:
            os.makedirs(self.root, exist_ok=True)
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def make(self, parts: Parts) -> None:
        with self.directory(parts, make=True):
            pass

    def state(self, parts: Parts) -> os.stat_result | None:
        """What is there under a name, itself and not what it links to; None if nothing is."""
        with suppress(FileNotFoundError), self.directory(parts[:-1]) as above:
            return os.stat(checked(parts[-1]), dir_fd=above, follow_symlinks=False)
        return None

    def md5(self, parts: Parts) -> str:
        with self.directory(parts[:-1]) as above:
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
            with open(descriptor, "rb") as file:
                return rest_md5(file)

    @contextmanager
    def writing(self, parts: Parts, version: str) -> Iterator[BinaryIO]:
        """The file to write: it holds what an earlier run had of this version, and is renamed if the block succeeds."""
        old = self.state(parts)
        if old and not stat.S_ISREG(old.st_mode):
            raise Problem(f"{escape(self.shown(parts))} is there and is no regular file")
        with self.directory(parts[:-1]) as above:
            part = part_name(parts[-1], version)
            with open(os.open(part, PART, 0o666, dir_fd=above), "r+b") as file:
                claim(file, self.shown(parts))
                if old:
                    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                yield file
                file.flush()
                os.rename(part, parts[-1], src_dir_fd=above, dst_dir_fd=above)

    def remove_part(self, parts: Parts, version: str) -> None:
        with self.directory(parts[:-1]) as above, suppress(FileNotFoundError):
            os.unlink(part_name(parts[-1], version), dir_fd=above)

    def remove(self, parts: Parts) -> None:
        """Remove a file, a link, or an empty directory."""
        with self.directory(parts[:-1]) as above:
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=above, follow_symlinks=False).st_mode):
                os.rmdir(parts[-1], dir_fd=above)
            else:
                os.unlink(parts[-1], dir_fd=above)

    def below(self, parts: Parts = ()) -> Iterator[Parts]:
        """All that is below, what is in a directory before the directory itself."""
        found: list[tuple[str, bool]] = []
        with suppress(FileNotFoundError), self.directory(parts) as here:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(here)]
        for name, is_directory in found:
            if is_directory:
                yield from self.below((*parts, name))
            yield (*parts, name)


def part_name(name: str, version: str) -> str:
    digest = hashlib.md5(f"{name}\0{version}".encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return f"{PART_BEGINS}{digest.hexdigest()[:16]}{PART_ENDS}"


def is_part(name: str) -> bool:
    return name.startswith(PART_BEGINS) and name.endswith(PART_ENDS)


def claim(file: BinaryIO, shown: str) -> None:
    """Lock a part, and see that it is a file of ours. Raises `Problem`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Problem(f"{escape(shown)} is being fetched by another command") from None
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        raise Problem(f"{escape(shown)}: what is left of an earlier transfer is no file of yours")
