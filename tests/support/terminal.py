"""A program on a terminal of its own, for tests of what it shows and of what a shell makes of keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.support.services.forks import beginning, start_command

SECONDS = 120.0


class Terminal:
    """The other end of a program's terminal."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.shown = b""

    def type(self, keys: str) -> None:
        rest = keys.encode()
        while rest:
            rest = rest[os.write(self._master, rest) :]

    def read_until(self, marker: bytes) -> bytes:
        """What is shown up to the marker. Raises AssertionError if it does not come."""
        deadline = time.monotonic() + SECONDS
        while marker not in self.shown:
            assert self._more(deadline), f"{marker!r} did not come: {self.shown[-2000:]!r}"
        seen, _, self.shown = self.shown.partition(marker)
        return seen

    def read_some(self) -> bytes:
        """What is shown next. Raises AssertionError if nothing is."""
        assert self._more(time.monotonic() + SECONDS), "nothing more is shown"
        seen, self.shown = self.shown, b""
        return seen

    def rest(self) -> bytes:
        """What is shown until nothing has the terminal open any more. Raises AssertionError if it stays open."""
        deadline = time.monotonic() + SECONDS
        while self._more(deadline):
            continue
        assert time.monotonic() < deadline, f"it does not end: {self.shown[-2000:]!r}"
        seen, self.shown = self.shown, b""
        return seen

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal, which tells its program."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _more(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the terminal has no user any more
            return False
        self.shown += data
        return bool(data)


def read_all(end: int) -> bytes:
    """What comes from a pipe or a terminal until nothing has its other end any more."""
    pieces = []
    with contextlib.suppress(OSError):  # of a terminal
        while piece := os.read(end, 1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def terminal(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> AbstractContextManager[Terminal]:
    """A program on a terminal, ended with the block."""
    return _terminal(partial(subprocess.Popen, beginning(command), env=dict(env), cwd=cwd))


def terminal_of(name: str, *words: str, env: Mapping[str, str], cwd: Path) -> AbstractContextManager[Terminal]:
    """A command of ours on a terminal, ended with the block."""
    return _terminal(partial(start_command, name, *words, env=env, cwd=cwd))


@contextlib.contextmanager
def _terminal(start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    process = start(stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(master)
