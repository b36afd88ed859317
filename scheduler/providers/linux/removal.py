"""Removal of directory trees that tasks left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from datapath import removal
from scheduler.common import child
from scheduler.providers.linux.subordinate_users import SubordinateUsers


async def remove_tree(path: Path, users: SubordinateUsers | None = None) -> None:
    """Remove a tree of tasks' files, of any depth and with any modes; never raises.

    `users`: the owners that files may have besides us, if we are not root.
    """
    with contextlib.suppress(OSError):
        await asyncio.to_thread(removal.remove_tree, path)
        return
    if not path.exists():
        return
    if users is not None:
        await run(*users.command("rm", "-rf", "--one-file-system", path), pass_fds=[users.namespace])
        return
    if os.geteuid() != 0:
        await run("chmod", "-R", "u+rwX", path)
    await run("rm", "-rf", "--one-file-system", path)


async def run(*command: child.Word, pass_fds: Sequence[int] = ()) -> None:
    process = await child.spawn(*command, stderr=subprocess.DEVNULL, pass_fds=pass_fds)
    await process.wait()
