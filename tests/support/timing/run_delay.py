"""How long the threads of this process waited for a processor."""

from __future__ import annotations

import contextlib
from pathlib import Path


def run_delay() -> float:
    """Seconds for which our threads, any of which may hold the interpreter's lock, waited for a processor."""
    delays = 0
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            delays += int((thread / "schedstat").read_text().split()[1])
    return delays / 1e9
