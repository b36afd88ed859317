"""Files on their way to being blobs, and blobs on their way to a task: the binding of `include/streams/blobfile.h`.

A call here is several system calls, which cost more from Python than in the kernel. The interpreter lock is released
meanwhile. All functions raise OSError.

Example, what a task has printed, from its file to its name:

    fd = create(directory, 0o622)
    ...
    if keep(fd, directory, "4f/4f9c…", 0o444, hashed=True) is None:  # it is large, or another process may write to it
        size, is_alone = seal(fd)
        ...
        publish(fd, directory, "4f/4f9c…", 0o444)
"""

from __future__ import annotations

import sys
from binascii import b2a_base64
from collections.abc import Sequence
from typing import NamedTuple

from datapath._core import ffi, lib
from datapath.passing import os_error

# As os.fsencode has it, which asks each time.
ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Kept(NamedTuple):
    """A file that was kept: its bytes, and the base64 of its MD5 if it was hashed. An empty one has no name."""

    size: int
    md5: str | None


class Totals(NamedTuple):
    """Totals over some files: bytes, and bytes on disk."""

    size: int
    disk: int


def create(directory: int, mode: int) -> int:
    """A descriptor, for reading and writing, of a new file without a name in a directory, of this very mode."""
    fd: int = lib.blobfile_create(directory, mode)
    if fd < 0:
        raise os_error()
    return fd


def open_blob(directory: int, name: str) -> int:
    """A read-only descriptor of a file below a directory. Raises BlockingIOError if the file is leased."""
    fd: int = lib.blobfile_open(directory, name.encode(*ENCODING))
    if fd < 0:
        raise os_error()
    return fd


def empty(fd: int) -> None:
    """Make a file empty, and be at its beginning."""
    if lib.blobfile_empty(fd) < 0:
        raise os_error()


def seal(fd: int) -> tuple[int, bool]:
    """Make `fd` a read-only descriptor of the same file; its size, and whether no process can write to it any more."""
    size = ffi.new("uint64_t *")
    state = lib.blobfile_seal(fd, size)
    if state < 0:
        raise os_error()
    return size[0], state == lib.BLOBFILE_SEALED


def keep(fd: int, directory: int, name: str, mode: int, hashed: bool) -> Kept | None:
    """Seal, hash and publish a file that is small; None: it is not, or a process may still write to it."""
    kept = ffi.new("struct blobfile_kept *")
    state = lib.blobfile_keep(fd, directory, name.encode(*ENCODING), mode, hashed, kept)
    if state < 0:
        raise os_error()
    if state != lib.BLOBFILE_SEALED:
        return None
    return Kept(kept.size, b2a_base64(ffi.buffer(kept.md5), newline=False).decode() if hashed else None)


def total(fds: Sequence[int]) -> Totals:
    """The totals over open files."""
    found = ffi.new("struct blobfile_total *")
    if lib.blobfile_total(fds, len(fds), found) < 0:
        raise os_error()
    return Totals(found.size, found.disk)


def link(fd: int, directory: int, name: str) -> None:
    """Give the file behind `fd` a name below a directory."""
    if lib.blobfile_link(fd, directory, name.encode(*ENCODING)) < 0:
        raise os_error()


def publish(fd: int, directory: int, name: str, mode: int) -> None:
    """The same, after its mode has become `mode`."""
    if lib.blobfile_publish(fd, directory, name.encode(*ENCODING), mode) < 0:
        raise os_error()
