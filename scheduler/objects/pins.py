"""Pins: blobs that an operation reads outlive their names (a snapshot lock).

An operation reads its inputs as they were when it found them. So each of them is pinned: a row says which blob an
operation reads. When a blob loses its last name while it is pinned, it is not removed but *doomed*, and it is buried
when its last pin has gone, unless it has a name again by then. What a publication replaces goes the same way, since
it may be far more than one transaction should look at.

Example: operation 7 reads `/j/stor/a` (blob 1). The owner puts blob 2 at that name: blob 1 is doomed, and operation 7
still reads it. When operation 7 is over, blob 1 is removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from scheduler.records.database import Connection

PAGE = 1000


def spare(c: Connection, orphans: Sequence[str]) -> list[str]:
    """Of blobs that have lost their last name, those that may be removed now; the others are doomed."""
    if not orphans:
        return []
    pinned = {row["blob"] for row in c.all("pinned_blobs", blobs=json.dumps(orphans))}
    c.many("doom_blob", [{"blob": blob} for blob in sorted(pinned)])
    return [blob for blob in orphans if blob not in pinned]


def release_page(c: Connection, job: int) -> bool:
    """Forget a page of an operation's pins. Returns whether there may be more."""
    return c.run("unpin_page", job=job, limit=PAGE) >= PAGE


def bury_page(c: Connection) -> tuple[list[str], bool]:
    """A page of doomed blobs that nothing needs any more, to be removed; and whether there may be more."""
    found = [row["blob"] for row in c.all("bury_page", limit=PAGE)]
    if not found:
        return [], False
    named = {row["blob"] for row in c.all("blobs_with_names", blobs=json.dumps(found))}
    return [blob for blob in found if blob not in named], len(found) >= PAGE
