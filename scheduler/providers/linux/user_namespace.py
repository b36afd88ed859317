"""A user namespace without processes: a descriptor, by which others enter it or map the users of a mount.

A namespace exists in a process. So a small process is started in a new namespace, gets its map from the caller, and
ends as soon as the descriptor is open.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from scheduler.common import child


def user_namespace(write_maps: Callable[[int], None]) -> int:
    """A descriptor of a new namespace; `write_maps` is called with the process that is in it. Raises OSError."""
    pipe = subprocess.PIPE
    with child.start(["unshare", "--user", "cat"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"?")
            process.stdin.flush()
        if process.stdout.read(1) != b"?":  # it answers once it is inside
            raise OSError(f"the kernel gives no user namespace: {process.stderr.read().decode().strip()}")
        write_maps(process.pid)
        return os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def block_namespace(first: int, count: int) -> Iterator[int]:
    """A descriptor of a namespace whose users and groups from 0 are the host's from `first`, for root.

    Raises OSError.
    """

    def write_maps(pid: int) -> None:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 {first} {count}")

    namespace = user_namespace(write_maps)
    try:
        yield namespace
    finally:
        os.close(namespace)
