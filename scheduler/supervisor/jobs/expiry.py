"""Expiry: deletion of archived jobs that their accounts no longer keep.

An archived job is the directory `/login/jobs/ID`: outputs, saved stderr, the archive. An account keeps its jobs for a
time of its own, for the service's default time, or for ever; after that the directory is deleted with all that is
below, as `mjob delete` does. Objects that tasks named elsewhere stay.

The age of a job counts from its archive: `job.json` is written last. A directory without one is no archived job, and
stays. The deepest names are deleted first, a page in each transaction. So a service that dies in between leaves a
smaller but consistent tree, and the next pass continues.

Example: jill keeps jobs for 7 days. Of her jobs, one was archived 8 days ago: its 1,203 names go in 7 transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial

from scheduler.model import naming
from scheduler.model.ids import is_id
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore
from scheduler.records.accounts import list_accounts
from scheduler.records.database import Connection, Database

log = logging.getLogger("remora.supervisor")
# Names that are read, and that are deleted, in one transaction.
PAGE = 1000
DELETED_PAGE = 200
FOREVER = 0
ARCHIVE = "job.json"


async def delete_expired(db: Database, blobs: BlobStore, default: int, now: int) -> int:
    """Delete the expired jobs of all accounts; returns how many. `default`: seconds that the service keeps jobs."""
    deleted = 0
    for login, keep in await db.read(kept_by_account):
        seconds = default if keep is None else keep
        if seconds != FOREVER:
            deleted += await _delete_of_account(db, blobs, login, now - 1000 * seconds)
    return deleted


async def _delete_of_account(db: Database, blobs: BlobStore, login: str, before: int) -> int:
    count = 0
    async for job in expired(db, login, before):
        await delete_tree(db, blobs, naming.job_directory(login, job))
        count += 1
    if count:
        log.info("old jobs deleted", extra={"owner": login, "jobs": count})
    return count


def kept_by_account(c: Connection) -> list[tuple[str, int | None]]:
    return [(row["login"], row["keep_jobs"]) for row in list_accounts(c)]


async def expired(db: Database, login: str, before: int) -> AsyncIterator[str]:
    """The ids of an account's jobs that were archived before `before` (ms since the epoch)."""
    marker = ""
    while True:
        old, following = await db.read(partial(_expired_page, login=login, before=before, marker=marker))
        for job in old:
            yield job
        if following is None:
            return
        marker = following


def _expired_page(c: Connection, login: str, before: int, marker: str) -> tuple[list[str], str | None]:
    """The expired jobs on one page of an account's jobs, and where the next page begins (None: there is none)."""
    directory = naming.jobs_directory(login)
    rows = c.all("list_by_name", dir=directory, marker=marker, kind="d", limit=PAGE)
    jobs = [row["name"] for row in rows if row["mtime"] < before and is_id(row["name"])]
    archives = namespace.resolve_many(c, [f"{directory}/{job}/{ARCHIVE}" for job in jobs])
    old = [job for job in jobs if (entry := archives.get(f"{directory}/{job}/{ARCHIVE}")) and entry.mtime < before]
    over = [job for job in old if (row := c.one("job_by_uuid", uuid=job)) is None or row["archive_done"]]
    return over, f"{rows[-1]['name']}\0" if len(rows) == PAGE else None


async def delete_tree(db: Database, blobs: BlobStore, path: str) -> None:
    """Delete a directory and all that is below it."""
    more = True
    while more:
        gone, more = await db.write(partial(_delete_page, path=path))
        await asyncio.to_thread(blobs.discard, gone)


def _delete_page(c: Connection, path: str) -> tuple[list[str], bool]:
    """Delete the deepest names below a directory, in the end the directory itself.

    Returns the blobs to discard, and whether there is more.
    """
    rows = c.all("entries_below", dir=path, below=f"{path}/", beyond=f"{path}0", limit=DELETED_PAGE)
    doomed = [f"{row['dir']}/{row['name']}" for row in rows] or [path]
    gone = [blob for each in doomed if namespace.lookup(c, each) for blob in namespace.delete(c, each).discard]
    return gone, bool(rows)
