"""Cancelling a job: one transaction, after which no task of it is started and no attempt of it counts.

All writers wait for a transaction, and a job may have a million ready tasks. So those beyond `PAGE` keep their state
for now: no task of a phase that is over is leased, and the counters of `phases` say so from here on. The rest is
cancelled page by page before the job is archived (`retention.reap_job`).

A task may create further jobs, with the token of its job. They end with that job, so that the token gives no access
for longer than its job. Each is cancelled in a transaction of its own, since there may be many of them.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial

from scheduler.engine.task import Cancelled, Task, TaskState, step
from scheduler.model.errors import WireError
from scheduler.records.database import Connection, Database
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.jobs import error_records
from scheduler.supervisor.jobs.changes import Changes, Revoked
from scheduler.supervisor.jobs.intake import JobRef, Named, check_open
from scheduler.supervisor.jobs.writer import JobWriter

log = logging.getLogger("remora.supervisor")

# The largest number of attempts in flight; agents request far fewer.
MAX_IN_FLIGHT = 100_000
PAGE = 4096
ORPHANS_PAGE = 100


def cancel_open(c: Connection, live: LiveJob, now: int) -> Changes:
    """Cancel a job. Raises WireError InvalidJobState if it is over."""
    check_open(c, live)
    return cancel_job(c, live, now)


def cancel_named(c: Connection, job: Named, now: int) -> None:
    """Cancel a job from its records alone, and announce it to the owner. Raises WireError as `cancel_open` does."""
    cancel_job(c, load_job(c, check_open(c, job)), now)
    c.announce(announcements.job(job.id))


async def cancel_orphans(db: Database, now: int) -> bool:
    """Cancel a page of the jobs that outlive the job whose task created them. Returns whether there were any."""
    found = await db.read(orphans)
    for job in found:
        with contextlib.suppress(WireError):  # it has ended meanwhile
            await db.write(partial(cancel_named, job=job, now=now))
            log.info("job cancelled with the job whose task created it", extra={"job": job.uuid})
    return bool(found)


def orphans(c: Connection) -> list[JobRef]:
    """A page of the jobs to cancel because the job whose task created them is done."""
    return [JobRef(row["id"], row["uuid"]) for row in c.all("orphaned_jobs", limit=ORPHANS_PAGE)]


def cancel_job(c: Connection, live: LiveJob, now: int) -> Changes:
    """Cancel every open task; each attempt in flight gets an error record, and the job is done."""
    changes = Changes()
    c.run("cancel_job", job=live.id)
    writer = JobWriter(c, live, changes, now)
    for phase, pool in enumerate(live.pools):
        for row in c.all("leased_of_pool", pool=pool, limit=MAX_IN_FLIGHT):
            result = step(Task(TaskState.LEASED, row["attempt"]), Cancelled())
            assert result.error is not None
            code, message = result.error
            extra = {"taskId": row["uuid"], "server": row["node"]}
            record = error_records.record(phase, code, message, row["input"], row["origin"], **extra)
            writer.error(record, row["origin"])
            changes.revoked.append(Revoked(row["agent"], pool, row["id"], row["attempt"]))
        changes.ready[pool] -= c.run("cancel_ready", pool=pool, limit=PAGE)
        c.run("cancel_leased", pool=pool)
        c.run("cancel_waiting", pool=pool)
        c.run("cancel_waiting_maps", pool=pool)
    c.run("cancel_phase", job=live.id)
    writer.close()
    return changes
