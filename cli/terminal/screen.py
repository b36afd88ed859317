"""The user's terminal: raw while the remote program has it, and as it was otherwise.

Messages of this program begin with ` * ` and go to the same terminal. They come only while it is not raw, but for the
answers to escapes, which are the user's wish.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cli.client.problem import Problem
from cli.text import printable

STDIN, STDOUT = 0, 1
SPINNER = "-\\|/"
NO_SIZE = (80, 25)


def require_terminal() -> None:
    """Raises `Problem` unless keys can be read and a screen be shown."""
    for name, fd in (("stdin", STDIN), ("stdout", STDOUT)):
        if not os.isatty(fd):
            raise Problem(f"{name} is not a TTY; aborting.")


@contextmanager
def take_keyboard() -> Iterator[Callable[[], None]]:
    """The terminal of a command whose stdin is something else: what it yields makes it stdin. Raises `Problem`."""
    if not os.isatty(STDOUT):
        raise Problem("stdout is not a TTY; aborting.")
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Problem(f"there is no terminal to read keys from: /dev/tty: {error.strerror}") from None

    def take() -> None:
        os.dup2(terminal, STDIN)

    try:
        yield take
    finally:
        os.close(terminal)


class Screen:
    """The terminal of stdin and stdout. `quiet` leaves all messages out."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._before: list[Any] | None = None  # the terminal's attributes, while it is raw
        self._waits = 0
        self._at_start = True

    @property
    def is_raw(self) -> bool:
        return self._before is not None

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(STDOUT)
            if columns and lines:
                return columns, lines
        return NO_SIZE

    def say(self, text: str) -> None:
        """A message of this program, if it is not quiet."""
        if not self._quiet:
            self._own_line()
            self.write(f" * {printable(text)}\n".encode())

    def wait(self) -> None:
        """Show that the session has not begun yet: a spinner."""
        if self._quiet:
            return
        shown = f"\b{SPINNER[self._waits % len(SPINNER)]}" if self._waits else " * waiting for session...  "
        self.write(shown.encode())
        self._waits += 1

    def established(self) -> None:
        """The end of waiting."""
        if self._quiet:
            return
        if self._waits:
            self.write(b" established\n")
        else:
            self.say("session established")

    def show(self, data: bytes) -> None:
        """What the remote program prints, as it is."""
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write all of it. Blocks while the terminal takes nothing."""
        self._at_start = data.endswith((b"\n", b"\r"))
        view = memoryview(data)
        while view:
            view = view[os.write(STDOUT, view) :]

    def answer(self, *lines: str) -> None:
        """Lines that the user asked for by an escape, while the terminal is raw."""
        self.write("\r\n".join(["", *lines, ""]).encode())

    def make_raw(self) -> None:
        if self._before is None:
            self._before = termios.tcgetattr(STDIN)
            tty.setraw(STDIN, termios.TCSADRAIN)

    def restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(STDIN, termios.TCSADRAIN, self._before)
            self._before = None

    def _own_line(self) -> None:
        if not self._at_start:
            self.write(b"\n")


@contextmanager
def resizes() -> Iterator[int]:
    """A descriptor that becomes readable when the window has changed. Signals that end this program raise meanwhile."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    old = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    old[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: os.write(writer, b"x"))
    try:
        yield reader
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
