"""A line on the terminal that says how things go, and nothing anywhere else.

The line is rewritten in place on stderr, at most ten times a second, and wiped at the end
or before anything else is printed, so that a screen never keeps half a line.
"""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self

from cli.text import escape, human_size, printable

INTERVAL = 0.1
WIPE = "\r\x1b[K"


class Meter:
    """A progress line; use as a context manager. Without a terminal (and unless `force`) it does nothing."""

    def __init__(self, *, show: bool | None = None) -> None:
        self.shown = sys.stderr.isatty() if show is None else show
        self.started = time.monotonic()
        self._next = 0.0
        self._dirty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        self.wipe()

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self.started, 1e-9)

    def due(self) -> bool:
        """Whether it is time to show another line: callers need not make a line that is not shown."""
        return self.shown and time.monotonic() >= self._next

    def show(self, line: str) -> None:
        """Show a line in place of the last one."""
        if not self.due():
            return
        self._next = time.monotonic() + INTERVAL
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(WIPE + printable(line)[:width])
        sys.stderr.flush()
        self._dirty = True

    def wipe(self) -> None:
        if self._dirty:
            sys.stderr.write(WIPE)
            sys.stderr.flush()
            self._dirty = False


class ByteMeter(Meter):
    """How a transfer goes: call it with the number of bytes that have moved."""

    def __init__(self, label: str, total: int | None, *, show: bool | None = None) -> None:
        super().__init__(show=show)
        self.label = escape(label)
        self.total = total
        self.moved = 0

    def __call__(self, count: int) -> None:
        self.moved += count
        if self.due():
            self.show(self.line())

    def line(self) -> str:
        """`lear.txt  12.5M of 1G  1%  118M/s`"""
        rate = f"{human_size(int(self.moved / self.seconds))}/s"
        if not self.total:
            return f"{self.label}  {human_size(self.moved)}  {rate}"
        share = f"{100 * self.moved // self.total}%"
        return f"{self.label}  {human_size(self.moved)} of {human_size(self.total)}  {share}  {rate}"
