"""A user namespace, by which the users of a tree are mapped.

The kernel wants the descriptor of an existing namespace, and a namespace exists in a process. So a
small process is started in a new namespace, gets its map, and ends as soon as we have the descriptor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scheduler.common import child


@contextlib.contextmanager
def user_namespace(first: int, count: int) -> Iterator[int]:
    """A descriptor of a namespace whose users and groups from 0 are the host's from `first`. Raises OSError."""
    pipe = subprocess.PIPE
    with child.start(["unshare", "--user", "cat"], stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"?")
        process.stdin.flush()
        if process.stdout.read(1) != b"?":  # it answers once it is inside
            raise OSError("the kernel gives no user namespace")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text(f"0 {first} {count}")
        namespace = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield namespace
    finally:
        os.close(namespace)
