"""What is no longer needed goes, page by page, and safely twice.

Reducers' intermediates go when the reducer is finished, those of cancelled tasks when the
job is; the records of a job a day after its archive. Blobs go before the rows that name them:
if the service dies in between, the rows are found again and the second removal finds nothing.
"""

from __future__ import annotations

from functools import partial

from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection, Database, execute, select
from scheduler.supervisor.live import LiveJob

PAGE = 1000
# Milliseconds that records stay after the archive is complete.
LINGER_MS = 86_400_000


async def reap_reducer(db: Database, blobs: BlobStore, task: int) -> None:
    """Remove the intermediates that a finished reduce task was fed."""
    page = select("consumed_task_inputs", task=task, limit=PAGE)
    while rows := await db.read(page):
        blobs.discard([row["blob"] for row in rows if row["own"] and row["size"]])
        upto = rows[-1]["seq"]
        await db.write(execute("forget_task_inputs", task=task, upto=upto))


async def reap_job(db: Database, blobs: BlobStore, live: LiveJob) -> None:
    """Remove what finished reducers and cancelled tasks of a job have left."""
    finished = select("finished_with_inputs", job=live.id, limit=PAGE)
    while rows := await db.read(finished):
        for row in rows:
            await reap_reducer(db, blobs, row["id"])
    for pool in live.pools:
        cancelled = select("cancelled_with_blobs", pool=pool, limit=PAGE)
        while rows := await db.read(cancelled):
            blobs.discard([row["blob"] for row in rows if row["size"]])
            await db.write(partial(_disown, [row["id"] for row in rows]))


def _disown(tasks: list[int], c: Connection) -> None:
    c.many("disown", [{"task": task} for task in tasks])


async def purge_expired(db: Database, now: int) -> None:
    """Forget jobs that were archived long ago. What users see of them is the archive."""
    while rows := await db.read(select("expired_jobs", before=now - LINGER_MS, limit=10)):
        for row in rows:
            await _purge(db, row["id"])


async def _purge(db: Database, job: int) -> None:
    for phase in await db.read(select("phases_of_job", job=job)):
        await db.write(execute("purge_task_inputs", pool=phase["id"]))
        while await db.write(execute("purge_tasks", pool=phase["id"], limit=PAGE)):
            pass
    for listed in ("inputs", "outputs", "errors"):
        page = select(f"list_{listed}", job=job, after=0, limit=PAGE)
        while rows := await db.read(page):
            upto = rows[-1]["seq"]
            await db.write(execute(f"purge_rows_of_{listed}", job=job, upto=upto))
    await db.write(execute("purge_phases", job=job))
    await db.write(execute("purge_job", job=job))
