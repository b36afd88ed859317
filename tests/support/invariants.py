"""What must hold of records after every transaction: `check` says what does not.

The rules are those of `scheduler.records.invariants`; a test that breaks one fails with a sentence for each broken row.
"""

from __future__ import annotations

from collections.abc import Callable

from scheduler.records.database import Connection
from scheduler.records.invariants import missing_blobs, violations


def check(c: Connection, exists: Callable[[str], bool] | None = None) -> None:
    """Raises AssertionError if an invariant of the records does not hold. `exists`: whether a blob is in the shared
    store; without it blobs are not looked for."""
    broken = violations(c)
    if exists is not None:
        broken += missing_blobs(c, exists)
    assert not broken, "invariants that do not hold:\n" + "\n".join(broken)
