"""The SQLite library of a process that serves, which counts no bytes: import `sqlite3` from here.

By default the library counts the bytes of each of its allocations, under a lock that all connections share, for a limit
that nothing here sets. For each task it makes hundreds; without the count a supervisor takes 5 % less processor time.

The count can only be left out before the library is initialized, which Python's module does when it is imported. If
another module has imported it before, or the library is hidden in the interpreter, it counts as ever.
"""

from __future__ import annotations

import contextlib
import ctypes
from importlib.util import find_spec

MEMSTATUS = 9  # SQLITE_CONFIG_MEMSTATUS of sqlite3.h


def count_no_bytes() -> None:
    module = find_spec("_sqlite3")
    if module is not None and module.origin is not None:
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(module.origin).sqlite3_config(MEMSTATUS, 0)


count_no_bytes()
import sqlite3  # noqa: E402 - not before

__all__ = ["sqlite3"]
