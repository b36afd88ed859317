"""The inputs of an operation that are not available: pinned, and yet without their bytes.

The bytes of a pinned object are in the shared store; one that is not mounted, or damaged, lacks some. That is looked at
before the first task begins (the *strategy*), and again when an attempt could not read its input (the *tactics*). In
either case the document says whether the operation fails at once or waits until all bytes are there again. While it
waits, attempts that run go on, and none begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from scheduler.model.errors import JobErrorCode
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection, Database, Row, select
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.operations import ending

# Pins that are looked at together.
PAGE = 1000
# Seconds between looks for what is missing: the first pause and the longest.
PAUSES = (5.0, 60.0)


class Missing(NamedTuple):
    """Inputs that are not available: how many, and the first."""

    objects: int
    first: str

    @property
    def sentence(self) -> str:
        if self.objects == 1:
            return f'"{self.first}" is not available: its bytes are missing in the store'
        many = f'{self.objects:,} inputs are not available, the first is "{self.first}"'
        return f"{many}: their bytes are missing in the store"


async def missing(db: Database, blobs: BlobStore, live: LiveJob) -> Missing | None:
    """The inputs of an operation that are not available; None if all are."""
    count, first, following = 0, "", 0
    while rows := await db.read(select("pins_page", job=live.id, first=following, limit=PAGE)):
        gone = await asyncio.to_thread(_without_bytes, blobs, rows)
        first = first or (gone[0] if gone else "")
        count += len(gone)
        following = rows[-1]["seq"] + 1
    return Missing(count, first) if count else None


def _without_bytes(blobs: BlobStore, rows: Iterable[Row]) -> list[str]:
    gone = []
    for row in rows:
        try:
            if row["size"]:
                blobs.status(row["blob"])
        except OSError:
            gone.append(row["name"])
    return gone


def fail(c: Connection, live: LiveJob, found: Missing, now: int) -> Changes:
    """Fail an operation whose inputs are not available."""
    return ending.fail(c, live, Changes(), now, JobErrorCode.SERVICE_UNAVAILABLE, found.sentence)


def tell(c: Connection, live: LiveJob, found: Missing | None) -> None:
    """Record why no attempt begins, for the status of the operation; or that attempts begin again."""
    for pool in live.pools[:1]:
        c.run("set_waiting", pool=pool, waiting=found.sentence if found else None)
