"""Jobs of all accounts, from their records: lists of them, and cancelling one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scheduler.model.errors import WireError
from scheduler.records.database import Connection, Row
from scheduler.service.operators.find_job import find_job
from scheduler.service.state import StateError
from scheduler.supervisor.control.cancelling import cancel_named
from scheduler.supervisor.jobs.intake import JobRef
from scheduler.supervisor.jobs.status import status

PAGE = 500
NEWEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs: of an account, or of all (an empty `owner`); that go on, or all on record; created since (ms)."""

    owner: str = ""
    live: bool = False
    since: int = 0


def jobs_on_record(c: Connection, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The status documents of jobs, the newest first, each with its `owner`."""
    before = NEWEST
    while page := _page(c, wanted, before):
        for row in page:
            yield {"owner": row["owner"], **status(c, row)}
        before = page[-1]["id"]


def _page(c: Connection, wanted: Wanted, before: int) -> list[Row]:
    return c.all(
        "all_jobs", before=before, owner=wanted.owner, live=int(wanted.live), since=wanted.since, limit=PAGE
    )  # fmt: skip


def cancel(c: Connection, text: str) -> str:
    """Cancel the job that `text` stands for; its supervisor notices within seconds. Returns its UUID.

    Raises StateError if there is no such job, or if it is over.
    """
    job = find_job(c, text)
    if job.row is None:
        raise StateError(f"job {job.uuid} is over: it was archived")
    try:
        cancel_named(c, JobRef(job.row["id"], job.uuid), c.now())
    except WireError:
        raise StateError(f"job {job.uuid} is over: it is {job.row['state']}") from None
    return job.uuid
