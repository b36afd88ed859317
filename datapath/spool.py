"""Spooling: copying a descriptor into a file, and flushing a file system.

The in-instance tools spool in C by themselves. Python needs the same mechanisms at their
edges: `move` where the agent takes over a stream, `syncfs`, which makes every blob of a
directory durable at once, and `write_back`, which begins with a long one early. All release
the interpreter lock meanwhile.
"""

from __future__ import annotations

import os

from datapath._core import ffi, lib


def syncfs(fd: int) -> None:
    """Flush the whole file system on which `fd` lives. Raises OSError (EIO, ENOSPC, EDQUOT: data was lost)."""
    if lib.spool_syncfs(fd) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))


def write_back(fd: int, start: int, length: int) -> None:
    """Have the disk begin with `length` bytes of a file from `start` on, so that a flush finds little left.

    Raises OSError.
    """
    if lib.spool_write_back(fd, start, length) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))


def move(src: int, dst: int) -> int:
    """Copy `src` into `dst` until `src` ends; returns the bytes moved.

    Raises OSError: ENOSPC (disk full), EDQUOT or EFBIG (quota, size limit), or any other.
    """
    moved = ffi.new("uint64_t *")
    return _poured(lib.spool_move(src, dst, moved), moved[0])


def tee(src: int, dst: int, out: int) -> int:
    """The same, with a copy to `out`; a reader of `out` that stops early loses its copy only."""
    moved = ffi.new("uint64_t *")
    return _poured(lib.spool_tee(src, dst, out, moved), moved[0])


def _poured(result: int, moved: int) -> int:
    error = ffi.errno
    if result != lib.SPOOL_DONE:
        raise OSError(error, os.strerror(error))
    return moved
