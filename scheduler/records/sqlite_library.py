"""The SQLite library of a process that serves, without two things that no one needs: import `sqlite3` from here.

By default the library counts the bytes of each of its allocations, under a lock that all connections share, for a limit
that nothing here sets. For each task it makes hundreds; without the count a supervisor takes 5 % less processor time.

And it locks a connection at each call, so that several threads may use one at a time. Here each connection is one
thread's alone; without the locks a supervisor takes another 4 % less.

Both can only be left out before the library is initialized, which Python's module does when it is imported. If another
module has imported it before, or the library is hidden in the interpreter, it counts and locks as ever.
"""

from __future__ import annotations

import contextlib
import ctypes
from importlib.util import find_spec

# Of sqlite3.h: SQLITE_CONFIG_MULTITHREAD, SQLITE_CONFIG_MEMSTATUS.
MULTITHREAD = 2
MEMSTATUS = 9


def configure() -> None:
    module = find_spec("_sqlite3")
    if module is not None and module.origin is not None:
        with contextlib.suppress(AttributeError, OSError):
            library = ctypes.CDLL(module.origin)
            library.sqlite3_config(MEMSTATUS, 0)
            library.sqlite3_config(MULTITHREAD)


configure()
import sqlite3  # noqa: E402 - not before

__all__ = ["sqlite3"]
