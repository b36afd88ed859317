"""Files on their way to being blobs, and blobs on their way to a task: the binding of `include/streams/blobfile.h`.

A call here is several system calls, which cost more from Python than in the kernel. The interpreter lock is released
meanwhile. All functions raise OSError.

Example, what a task has printed, from its file to its name:

    fd = create(directory, 0o622)
    ...
    size, is_alone = seal(fd)
    publish(fd, directory, "4f/4f9c…", 0o444)
"""

from __future__ import annotations

import sys

from datapath._core import ffi, lib
from datapath.passing import os_error

# As os.fsencode has it, which asks each time.
ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def create(directory: int, mode: int) -> int:
    """A descriptor, for reading and writing, of a new file without a name in a directory, of this very mode."""
    return _checked(lib.blobfile_create(directory, mode))


def open_blob(directory: int, name: str) -> int:
    """A read-only descriptor of a file below a directory. Raises BlockingIOError if the file is leased."""
    return _checked(lib.blobfile_open(directory, name.encode(*ENCODING)))


def empty(fd: int) -> None:
    """Make a file empty, and be at its beginning."""
    _checked(lib.blobfile_empty(fd))


def seal(fd: int) -> tuple[int, bool]:
    """Make `fd` a read-only descriptor of the same file; its size, and whether no process can write to it any more."""
    size = ffi.new("uint64_t *")
    is_alone = _checked(lib.blobfile_seal(fd, size)) == lib.BLOBFILE_SEALED
    return size[0], is_alone


def link(fd: int, directory: int, name: str) -> None:
    """Give the file behind `fd` a name below a directory."""
    _checked(lib.blobfile_link(fd, directory, name.encode(*ENCODING)))


def publish(fd: int, directory: int, name: str, mode: int) -> None:
    """The same, after its mode has become `mode`."""
    _checked(lib.blobfile_publish(fd, directory, name.encode(*ENCODING), mode))


def _checked(result: int) -> int:
    if result < 0:
        raise os_error()
    return result
