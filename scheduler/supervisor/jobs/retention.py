"""Retention: removal of what is no longer needed, page by page; each removal may be repeated.

A reducer's intermediates are removed when it is finished, all others of a job when the job is done; the records of a
job a day after its archive. Blobs are removed before the rows that name them: if the service dies in between, the rows
are found again, and the second removal finds no blob.

A reducer on a node that serves others may have to make its outputs again. So its rows stay until the job is over, and
only inputs that can be recomputed are discarded early. There the rows change first, because a blob that a node has
kept for nothing is found when its agent starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from scheduler.engine import availability
from scheduler.engine.availability import Availability
from scheduler.records.database import Connection, Database, Row, execute, select
from scheduler.supervisor.cache.live_jobs import LiveJob

PAGE = 1000
# Milliseconds for which records stay after the archive is complete.
LINGER_MS = 86_400_000


# Discards blobs on a node, or (None) in the shared store.
Discard = Callable[[Iterable[tuple[str | None, str]]], None]


async def reap_reducer(db: Database, discard: Discard, task: int) -> None:
    """Remove the intermediates that a finished reduce task was fed."""
    page = select("consumed_task_inputs", task=task, limit=PAGE)
    while rows := await db.read(page):
        discard((row["node"], row["blob"]) for row in rows if row["availability"] == Availability.HERE and row["size"])
        upto = rows[-1]["seq"]
        await db.write(execute("forget_task_inputs", task=task, upto=upto))


async def release_inputs(db: Database, discard: Discard, task: int) -> None:
    """Discard the inputs of a finished reduce task that can be recomputed, unless the task is about to run again."""
    while rows := await db.write(partial(_release_page, task)):
        discard((row["node"], row["blob"]) for row in rows)


def _release_page(task: int, c: Connection) -> list[Row]:
    rows = c.all("consumed_at_nodes", task=task, limit=PAGE) if c.one("is_committed", task=task) else []
    ended = availability.step(Availability.HERE, availability.Event.CONSUMER_ENDED)
    c.many("set_input_availability", [{"task": task, "seq": row["seq"], "availability": ended} for row in rows])
    return rows


async def reap_job(db: Database, discard: Discard, live: LiveJob) -> None:
    """Remove the intermediates and rows of a job that is over, and cancel tasks that cancellation has left open."""
    if not await db.read(partial(_has_leftovers, live=live)):
        return
    for pool in live.pools:
        while await db.read(select("ready_of_pool", pool=pool, limit=1)):
            await db.write(execute("cancel_ready", pool=pool, limit=PAGE), bulk=True)
    finished = select("finished_with_inputs", job=live.id, limit=PAGE)
    while rows := await db.read(finished):
        for row in rows:
            await reap_reducer(db, discard, row["id"])
    for pool in live.pools:
        left = select("over_with_blobs", pool=pool, limit=PAGE)
        while rows := await db.read(left):
            discard((row["node"], row["blob"]) for row in rows if row["size"])
            await db.write(partial(_consumers_ended, [row["id"] for row in rows]))


def _has_leftovers(c: Connection, live: LiveJob) -> bool:
    """Whether there is anything to remove of a job that is over. Most jobs leave nothing, and are asked once."""
    by_pool = (c.all(name, pool=pool, limit=1) for pool in live.pools for name in ("ready_of_pool", "over_with_blobs"))
    return any(by_pool) or bool(c.all("finished_with_inputs", job=live.id, limit=1))


def _consumers_ended(tasks: list[int], c: Connection) -> None:
    c.many("consumer_ended_tasks", [{"task": task} for task in tasks])


async def purge_expired(db: Database, now: int) -> None:
    """Remove the records of jobs that were archived long ago. Their archives stay."""
    while rows := await db.read(select("expired_jobs", before=now - LINGER_MS, limit=10)):
        for row in rows:
            await _purge(db, row["id"])


def _keep(_: Iterable[tuple[str | None, str]]) -> None:
    """Discard nothing: the blobs of these rows are gone already."""


async def _purge(db: Database, job: int) -> None:
    for phase in await db.read(select("phases_of_job", job=job)):
        for task in await db.read(select("reduce_tasks", pool=phase["id"])):
            await reap_reducer(db, _keep, task["id"])
        while await db.write(execute("purge_tasks", pool=phase["id"], limit=PAGE), bulk=True):
            pass
    while await db.write(execute("purge_attempts", job=job, limit=PAGE), bulk=True):
        pass
    for listed in ("inputs", "outputs", "errors"):
        page = select(f"list_{listed}", job=job, after=0, limit=PAGE)
        while rows := await db.read(page):
            upto = rows[-1]["seq"]
            await db.write(execute(f"purge_rows_of_{listed}", job=job, upto=upto), bulk=True)
    await db.write(execute("forget_requests", job=job))
    await db.write(execute("purge_phases", job=job))
    await db.write(execute("purge_session", job=job))
    await db.write(execute("purge_job", job=job))
