"""The directory of a node's agent: nobody else reads it, and no two agents have it at the same time.

What an agent finds there at its start was left by one that is dead, and is removed. So a second one,
started by mistake, would remove the instances of the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from scheduler.agent.options import OptionsError
from scheduler.common.private import NotPrivateError, open_own_file, open_private

LOCK = "agent.lock"
LAST_WORDS = "agent.ended"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Have the directory to ourselves; it is made if need be. Raises OptionsError."""
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
    """Before an agent ends that cannot work here: tell who started it why, if there is a way."""
    with contextlib.suppress(OSError, NotPrivateError):
        private = open_private(directory)
        try:
            with open(open_own_file(LAST_WORDS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private), "w") as file:
                file.write(why)
        finally:
            os.close(private)


def take_last_words(directory: Path) -> str | None:
    """Why the agent has ended, if it said so; told once."""
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
