"""The state directory of a node's agent: private to its user, and locked by one agent at a time.

An agent removes what it finds there at its start, since a dead one has left it. A second agent that
was started by mistake would otherwise remove the instances of the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from scheduler.agent.options import OptionsError
from scheduler.common.private_directory import NotPrivateError, open_own_file, open_private

LOCK = "agent.lock"
LAST_WORDS = "agent.ended"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the lock of the directory, which is made if need be. Raises OptionsError."""
    try:
        private = open_private(directory)
        try:
            lock = open_own_file(LOCK, os.O_RDWR | os.O_CREAT, private)
        finally:
            os.close(private)
    except NotPrivateError as error:
        raise OptionsError(str(error)) from None
    except OSError as error:
        raise OptionsError(f"cannot use {directory} for the state: {error.strerror}") from None
    try:
        take(lock, directory)
        yield
    finally:
        os.close(lock)


def take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OptionsError(f"an agent runs on {directory} already") from None


def leave_last_words(directory: Path, why: str) -> None:
    """Write why an agent that cannot work here ends, for the process that started it; best effort."""
    with contextlib.suppress(OSError, NotPrivateError):
        private = open_private(directory)
        try:
            with open(open_own_file(LAST_WORDS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private), "w") as file:
                file.write(why)
        finally:
            os.close(private)


def take_last_words(directory: Path) -> str | None:
    """Read and remove the reason why the agent has ended; None if it wrote none."""
    try:
        private = open_private(directory)
        try:
            with open(open_own_file(LAST_WORDS, os.O_RDONLY, private)) as file:
                why = file.read().strip()
            os.unlink(LAST_WORDS, dir_fd=private)
        finally:
            os.close(private)
    except (OSError, ValueError, NotPrivateError):
        return None
    return why or None
