"""How much disk tasks have used, where no file system of their own says so."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def bytes_below(root: Path) -> int:
    """Bytes of disk below a directory that tasks write into, links not followed; what vanishes is skipped."""
    total = 0
    pending = [os.fspath(root)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(entry.path)
        except OSError:
            continue
    return total
