"""Everything about one job, from its records or from its archive.

The records of a job go a day after it was archived; its archive has its status (`job.json`), its usage and timeline
(`usage.json`) and its errors (`err.txt`), as long as the account keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scheduler.model import dates
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection
from scheduler.service.operators.find_job import FoundJob
from scheduler.service.state import StateError
from scheduler.supervisor.jobs.status import status
from scheduler.supervisor.jobs.timeline import Timeline, timeline, unpacked
from scheduler.supervisor.jobs.usage import phase_usage

MAX_DOCUMENT = 64 << 20
ERRORS_PAGE = 1000


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job: its status document, usage by phase, and timeline; `created` in ms since the epoch."""

    uuid: str
    owner: str
    status: dict[str, Any]
    phases: list[dict[str, Any]]
    timeline: Timeline
    created: int


def load_record(c: Connection, blobs: BlobStore, job: FoundJob) -> JobRecord:
    """Raises StateError if the job's records are gone and its archive is, too."""
    if job.row is not None:
        row = job.row
        found = status(c, row), phase_usage(c, row), timeline(c, row)
        return JobRecord(job.uuid, job.owner, *found, row["created"])
    document, usage = (document_of(c, blobs, job, name) for name in ("job.json", "usage.json"))
    created = dates.parse_iso(document["timeCreated"]) or 0
    tasks = usage.get("tasks")
    times = Timeline([], document["stats"]["tasks"]) if tasks is None else unpacked(tasks, created)
    return JobRecord(job.uuid, job.owner, document, usage["phases"], times, created)


def document_of(c: Connection, blobs: BlobStore, job: FoundJob, name: str) -> dict[str, Any]:
    """A document of a job's archive. Raises StateError if it is not there, or not as the service wrote it."""
    path = f"{job.directory}/{name}"
    entry = namespace.lookup(c, path)
    if entry is None or entry.etag is None:
        raise StateError(f"the records of job {job.uuid} are gone, and so is {path}")
    if (entry.size or 0) > MAX_DOCUMENT:
        raise StateError(f"{path} is no archive of ours: it has {entry.size} bytes")
    try:
        with open(blobs.open_in_thread(entry.etag), "rb") as file:
            found = json.load(file)
        found["stats"]["tasks"] if name == "job.json" else found["phases"]
    except FileNotFoundError:
        raise StateError(f"the bytes of {path} are missing: see remora verify") from None
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{path} is no archive of ours: its owner has changed it") from None
    return found if isinstance(found, dict) else {}


def errors_of(c: Connection, blobs: BlobStore, job: FoundJob) -> Iterator[dict[str, Any]]:
    """The error records of a job, one after the other, however many; of no archive, none."""
    if job.row is not None:
        after = 0
        while page := c.all("list_errors", job=job.row["id"], after=after, limit=ERRORS_PAGE):
            yield from (json.loads(row["name"]) for row in page)
            after = page[-1]["seq"]
        return
    entry = namespace.lookup(c, f"{job.directory}/err.txt")
    if entry is None or entry.etag is None or not entry.size:
        return
    try:
        with open(blobs.open_in_thread(entry.etag), "rb") as file:
            for line in file:
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record
    except (FileNotFoundError, ValueError):
        return
