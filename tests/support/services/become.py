"""What a fork becomes: a command of ours, or an agent, as if Python had just started for it."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import json
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from typing import NoReturn

# The command of an agent: `python -m scheduler.agent`.
AGENT = "scheduler.agent"
# A last argument of a process that forks: its memory has room for the command lines of the forks.
ROOM = "." * 3000
FIRST_FREE = 200  # no fork is given a descriptor of such a number


@dataclass(frozen=True)
class Command:
    """Name and words of a command, its environment, its directory, and the descriptors that it keeps, by number."""

    words: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    own_session: bool
    keeps: Sequence[int] = (0, 1, 2)

    def request(self) -> int:
        """A file with this command; its descriptor."""
        text = os.memfd_create("command")
        os.write(text, json.dumps(asdict(self)).encode())
        return text

    def become(self) -> NoReturn:
        """Run the command in this process."""
        if self.own_session:
            os.setsid()
            take_terminal()
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        time.tzset()
        sys.stdin, sys.stdout, sys.stderr = (stream(*each) for each in zip(range(3), "rww", STREAMS, strict=True))
        sys.argv = ["-c", *self.words[1:]]
        show([sys.executable, *(["-m"] if self.words[0] == AGENT else []), *self.words])
        try:
            self._run()
        except SystemExit as end:
            leave(end.code if isinstance(end.code, int) else int(end.code is not None))
        leave(0)

    def _run(self) -> None:
        if self.words[0] == AGENT:
            sys.exit(import_module("scheduler.agent.process").main())
        import_module("cli.main").run(self.words[0])


def of_request(text: int, given: Sequence[int]) -> Command:
    """In a fork: the command of a request, with its descriptors in place, and no others."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = Command(**json.loads(os.pread(text, os.fstat(text).st_size, 0)))
    aside = [os.dup2(fd, FIRST_FREE + n) for n, fd in enumerate(given)]
    for fd, number in zip(aside, command.keeps, strict=True):
        os.dup2(fd, number)
    close_others(command.keeps)
    return command


def close_others(keep: Collection[int]) -> None:
    """Close all descriptors of this process but these."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:  # that of the listing itself
                continue


def take_terminal() -> None:
    """Make the terminal that is the standard input, if it is one, that of this process's session, which has none."""
    with suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def show(words: Sequence[str]) -> None:
    """Let /proc and `ps` show these words as the command line of this process, as far as it has room for them."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    text = b"\0".join(map(os.fsencode, words))[: end - begin - 1]
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text, len(text))


def leave(status: int) -> NoReturn:
    """End as Python ends, without taking apart what the server has imported (a tenth of a second)."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for each in (sys.stdout, sys.stderr):
        each.flush()
    os._exit(status)


STREAMS = (sys.stdin, sys.stdout, sys.stderr)


def stream(number: int, mode: str, like: TextIOWrapper) -> TextIOWrapper:
    """A standard stream of the file that a descriptor is now."""
    raw = FileIO(number, mode, closefd=False)
    buffer = BufferedReader(raw) if mode == "r" else BufferedWriter(raw)
    return TextIOWrapper(buffer, like.encoding, like.errors, line_buffering=number == 2 or raw.isatty())
