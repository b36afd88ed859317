"""Slices of files at their lines: the thin binding of `streams/slice.h`."""

from __future__ import annotations

import errno
import os

from datapath._core import ffi, lib

# The longest line: a task that reads a slice gets each of its lines whole.
MAX_LINE = 16 * 1024 * 1024


class LineTooLongError(Exception):
    """A line that begins before an offset is longer than `MAX_LINE` bytes."""

    def __init__(self, at: int) -> None:
        super().__init__(f"a line is longer than {MAX_LINE >> 20} MiB at byte {at}")
        self.at = at


def line_start(fd: int, at: int, size: int) -> int:
    """The offset of the first line that begins at `at` or after it, in a file of `size` bytes; `size` if none does.

    Raises LineTooLongError, or OSError if the file cannot be read.
    """
    found: int = lib.slice_begin(fd, at, size, ord("\n"), MAX_LINE)
    if found < 0:
        if ffi.errno == errno.EOVERFLOW:
            raise LineTooLongError(at)
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return found
