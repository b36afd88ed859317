"""The SQLite library of a process that serves counts no bytes of its allocations and locks no connection."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASKED = """
import ctypes, {module}, _sqlite3, sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE t (x)")
library, raw = ctypes.CDLL(_sqlite3.__file__), ctypes.c_void_p()
library.sqlite3_db_mutex.restype = ctypes.c_void_p
assert library.sqlite3_open(b":memory:", ctypes.byref(raw)) == 0
print(library.sqlite3_memory_used() > 0, library.sqlite3_db_mutex(raw) is not None)
"""


@pytest.mark.parametrize("module", ["scheduler.service.run", "scheduler.service.roles"])
def test_a_service_that_was_imported_counts_and_locks_nothing(module: str) -> None:
    """Whatever else the service imports, no module initializes the library before it is told."""
    assert counts_and_locks(module) == "False False\n"
    assert counts_and_locks("os") == "True True\n"


def counts_and_locks(module: str) -> str:
    command = [sys.executable, "-c", ASKED.format(module=module)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
