"""Verification of a whole service, or of one job: the invariants of its records, and the bytes in its store.

`verify` yields findings as they are made; `repair` mends one if that is safe. A repair is safe if it derives what is
stored twice (the count of a directory's entries), releases what has no owner any more (locks, pins and staged outputs
of archived jobs, keys without an account, bytes without a name), or makes a directory that has entries. It never
touches a job that is not archived, because the job's supervisor has copies of its counters in memory, and it never
invents bytes. Each repair is a transaction that tests its condition again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scheduler.objects import locks, pins, verification
from scheduler.objects.blobs import SHARDS, BlobStore
from scheduler.objects.verification import Verifier
from scheduler.records.database import Connection, Database
from scheduler.records.invariants import JOB_RULES, RULES, Finding, broken_rows
from scheduler.service.operators.find_job import FoundJob
from scheduler.supervisor.jobs.retention import LINGER_MS

STAGED_PAGE = 1000


@dataclass(slots=True)
class Summary:
    """What was compared: rules, references from names to blobs, files, and bytes that were read."""

    rules: int = 0
    references: int = 0
    files: int = 0
    bytes_read: int = 0
    findings: int = 0
    repaired: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)


Progress = Callable[[str], None]


async def verify(
    db: Database, blobs: BlobStore, summary: Summary, *, grace_ms: int, deep: bool = False, progress: Progress = print
) -> AsyncIterator[Finding]:
    """All findings about a service. `grace_ms`: bytes that are younger may be without a name."""
    now = await db.read(lambda c: c.now())
    for rule in RULES:
        progress(f"records: {rule.replace('_', ' ')}")
        # the records of archived jobs are removed page by page
        for finding in await db.read(partial(broken_rows, rule=rule, purged=now - LINGER_MS)):
            yield finding
        summary.rules += 1
    progress("records: directories")
    for finding in await verification.missing_directories(db):
        yield finding
    verifier = Verifier(db, blobs, now - grace_ms, deep)
    for number, shard in enumerate(sorted(SHARDS)):
        progress(f"objects: {number * 100 // len(SHARDS)} %, {verifier.references} names, {verifier.files} files")
        for finding in await verifier.shard(shard):
            yield finding
        _count(summary, verifier)


async def verify_job(
    db: Database, blobs: BlobStore, summary: Summary, job: FoundJob, *, deep: bool = False, progress: Progress = print
) -> AsyncIterator[Finding]:
    """All findings about one job: its records, if they are there yet, and its objects."""
    if job.id is not None:
        now = await db.read(lambda c: c.now())
        for rule in JOB_RULES:
            progress(f"records: {rule.replace('_', ' ')}")
            for finding in await db.read(partial(broken_rows, rule=rule, purged=now - LINGER_MS, job=job.uuid)):
                yield finding
            summary.rules += 1
    verifier = Verifier(db, blobs, 0, deep)
    references = await verification.job_references(db, job.id or 0, job.directory)
    progress("objects")
    for start in range(0, len(references), verification.PAGE):
        page = references[start : start + verification.PAGE]
        for finding in await verifier.check(page, sizes_of(blobs, [one.blob for one in page])):
            yield finding
    _count(summary, verifier)


def sizes_of(blobs: BlobStore, wanted: list[str]) -> dict[str, int]:
    """The sizes of the files of some blobs, for those that are there."""
    found = {}
    for blob in wanted:
        try:
            found[blob] = blobs.status(blob).st_size
        except FileNotFoundError:
            continue
    return found


def _count(summary: Summary, verifier: Verifier) -> None:
    summary.references, summary.files = verifier.references, verifier.files
    summary.bytes_read = verifier.bytes_read


# A repair gets a transaction and the details of its finding; it returns whether there was something to mend.
Repair = Callable[[Connection, Mapping[str, Any]], bool]


def _recount(c: Connection, details: Mapping[str, Any]) -> bool:
    verification.recount(c, f"{details['dir'].rstrip('/')}/{details['name']}")
    return True


def _restore(c: Connection, details: Mapping[str, Any]) -> bool:
    return verification.restore_directory(c, details["path"], c.now())


def _release(c: Connection, details: Mapping[str, Any]) -> bool:
    job = details["id"]
    row = c.one("job_by_id", job=job)
    if row is not None and row["archive_done"] is None:
        return False
    locks.release(c, job)
    while pins.release_page(c, job):
        pass
    while len(c.all("drop_staged", job=job, limit=STAGED_PAGE)) >= STAGED_PAGE:
        pass
    return True


def _drop_key(c: Connection, details: Mapping[str, Any]) -> bool:
    return c.run("remove_key_of_none", login=details["login"], fingerprint=details["fingerprint"]) > 0


REPAIRS: Mapping[str, Repair] = {
    "broken_directories": _recount,
    "broken_holds": _release,
    "broken_keys": _drop_key,
    verification.PARENT: _restore,
}
REPAIRABLE = frozenset({*REPAIRS, verification.NAMELESS})


async def repair(db: Database, blobs: BlobStore, finding: Finding) -> bool:
    """Mend what a finding is about, if that is safe. Returns whether it was done."""
    if finding.rule == verification.NAMELESS:
        return await db.write(lambda c: verification.discard_nameless(c, blobs, finding.details["blob"]))
    mend = REPAIRS.get(finding.rule)
    return mend is not None and await db.write(lambda c: mend(c, finding.details))
