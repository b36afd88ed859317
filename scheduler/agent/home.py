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
