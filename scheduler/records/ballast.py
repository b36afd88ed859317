"""The ballast: a file beside the database that reserves disk space for the time when the disk is full.

A full disk must not keep the service from recording that a task has failed, that a job is cancelled, that an object is
removed: these records are what frees space. So `SIZE` bytes are allocated in advance. The first commit that finds the
disk full releases them and is tried again; once the disk has room, they are allocated anew.

Example: another program's file fills the disk. The next commit fails with SQLITE_FULL, the ballast of 4 MiB is
removed, and some thousand commits follow, among them the removal of objects, which frees more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from scheduler.common.disk_reserve import MEGABYTE, space_at

SIZE = 4 * MEGABYTE
# Seconds between checks whether the disk has room for it again.
LOOK_SECONDS = 1.0
# The ballast takes at most this part of a small file system, and is allocated only if more is free.
SHARE = 32
log = logging.getLogger("remora.records")


class Ballast:
    """The ballast of one database file. Only the thread that writes uses it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path.with_name(f"{path.name}.ballast")
        self._clock = clock
        self._due = 0.0

    @property
    def held(self) -> bool:
        return self._path.exists()

    def give_up(self) -> bool:
        """Release the space. Returns False if there was none to release."""
        self._due = self._clock() + LOOK_SECONDS
        try:
            self._path.unlink()
        except OSError:
            return False
        log.error("the disk is full: the database uses its reserve", extra={"path": str(self._path)})
        return True

    def restore(self) -> None:
        """Allocate it if it is missing and the disk has room. Cheap to call after each commit."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + LOOK_SECONDS
        with contextlib.suppress(OSError):
            if not self.held and self._has_room():
                self._allocate()

    def _has_room(self) -> bool:
        space = space_at(self._path.parent)
        return not space.short and space.free > space.total // SHARE

    def _allocate(self) -> None:
        """Allocate the file. Raises OSError, and then no file is left."""
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = min(SIZE, space_at(fd).total // SHARE)
            os.posix_fallocate(fd, 0, max(1, size))
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
