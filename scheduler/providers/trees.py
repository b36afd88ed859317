"""Removal of directory trees that tasks left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from scheduler.common import child


async def remove_tree(path: Path) -> None:
    """Remove a tree of tasks' files, of any depth and with any modes; never raises."""
    with contextlib.suppress(OSError, RecursionError):
        await asyncio.to_thread(shutil.rmtree, path)
    if path.exists():
        if os.geteuid() != 0:
            await run("chmod", "-R", "u+rwX", str(path))
        await run("rm", "-rf", "--one-file-system", str(path))


async def run(*command: str) -> None:
    process = await child.spawn(*command, stderr=subprocess.DEVNULL)
    await process.wait()
