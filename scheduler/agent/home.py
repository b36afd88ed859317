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

LOCK = "agent.lock"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Have the directory to ourselves; it is made if need be. Raises OptionsError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise OptionsError(f"{directory} belongs to another user: choose one of your own with --state-dir")
        directory.chmod(0o700)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
