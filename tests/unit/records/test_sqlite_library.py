"""The SQLite library of a process that serves counts no bytes of its allocations."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNTED = """
import ctypes, {module}, _sqlite3, sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE t (x)")
print(ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used())
"""


@pytest.mark.parametrize("module", ["scheduler.service.run", "scheduler.service.roles"])
def test_a_service_that_was_imported_counts_no_bytes(module: str) -> None:
    """Whatever else the service imports, no module initializes the library before it is told."""
    told = subprocess.run(
        [sys.executable, "-c", COUNTED.format(module=module)], capture_output=True, text=True, check=True
    )
    assert told.stdout == "0\n"
    counting = subprocess.run(
        [sys.executable, "-c", COUNTED.format(module="os")], capture_output=True, text=True, check=True
    )
    assert int(counting.stdout) > 0
