"""Trees of processes, seen from outside through /proc.

Every result is a snapshot: a process may end while it is read, so processes that are gone are
skipped, and are no error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36


def descendants(root: int) -> Iterator[int]:
    """`root` and the processes below it, parents first."""
    found = [root]
    while found:
        pid = found.pop()
        yield pid
        found.extend(children(pid))


def children(pid: int) -> list[int]:
    """Direct children of all threads of `pid`; none if it is gone."""
    result: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                result.extend(int(child) for child in file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return result


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (a subreaper). Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


async def end_orphans(ours: set[int]) -> None:
    """Kill children that left our session and are not `ours`, and the processes that become children by that."""
    session = os.getsid(0)
    while orphans := [pid for pid in children(os.getpid()) if pid not in ours and session_of(pid) != session]:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                await asyncio.to_thread(os.waitpid, pid, 0)


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
