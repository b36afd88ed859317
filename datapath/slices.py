"""Slices of files at their lines: the thin binding of `streams/slice.h`."""

from __future__ import annotations

import errno
import os

from datapath._core import ffi, lib

# The longest line: a task that reads a slice gets each of its lines whole.
MAX_LINE = 16 * 1024 * 1024
END = b"\n"


class LineTooLongError(Exception):
    """A line, which begins at an offset, is longer than `MAX_LINE` bytes."""

    def __init__(self, at: int) -> None:
        super().__init__(f"a line is longer than {MAX_LINE >> 20} MiB at byte {at}")
        self.at = at


def line_start(fd: int, at: int, size: int, end: bytes = END) -> int:
    """The offset of the first line that begins at `at` or after it, in a file of `size` bytes; `size` if none does.

    `end`: the byte that ends lines. Raises LineTooLongError, or OSError if the file cannot be read.
    """
    found: int = lib.slice_begin(fd, at, size, end[0], MAX_LINE)
    if found < 0 and ffi.errno == errno.EOVERFLOW:
        raise LineTooLongError(checked(lib.slice_before(fd, 0, at, end[0])))
    return checked(found)


def lines_behind(fd: int, start: int, size: int, lines: int, end: bytes = END) -> int:
    """The offset behind so many lines from `start` on, where a line begins. Raises OSError."""
    return checked(lib.slice_skip(fd, start, size, end[0], lines))


def long_line(fd: int, start: int, end: int, line_end: bytes = END) -> int | None:
    """The offset of the first line of a range that is longer than `MAX_LINE`; None if none is. Raises OSError."""
    found = checked(lib.slice_long(fd, start, end, line_end[0], MAX_LINE))
    return None if found == end else found


def count_lines(fd: int, start: int, end: int) -> int:
    """The number of lines that begin in a range, which begins with one. Raises OSError."""
    return checked(lib.slice_count(fd, start, end, END[0]))


def checked(result: int) -> int:
    """The result of a call into C. Raises OSError for a negative one."""
    if result < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return result
