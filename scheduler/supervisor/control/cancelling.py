"""Control of jobs of any type: cancelling one means to abort it, if it is an operation.

A task may create further jobs, with the token of its job. They end with that job, so that the token gives no access
for longer than its job. Each is cancelled in a transaction of its own, since there may be many of them.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial

from scheduler.model.errors import WireError
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.records.database import Connection, Database
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.control import requests
from scheduler.supervisor.jobs.cancel import cancel_job
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.intake import JobRef, Named, check_open
from scheduler.supervisor.operations import ending

log = logging.getLogger("remora.supervisor")

ORPHANS_PAGE = 100


def cancel_open(c: Connection, live: LiveJob, now: int) -> Changes:
    """Cancel a job. Raises WireError InvalidJobState if it is over."""
    check_open(c, live)
    return _cancel(c, live, now)


def cancel_named(c: Connection, job: Named, now: int) -> None:
    """Cancel a job from its records alone, and announce it to the owner. Raises WireError as `cancel_open` does."""
    _cancel(c, load_job(c, check_open(c, job)), now)
    c.announce(announcements.job(job.id))


def abort_named(c: Connection, job: Named, reason: str | None, now: int) -> None:
    """Abort a job from its records alone, and announce it to the owner. Raises WireError unless that holds already."""
    row = c.one("job_by_id", job=job.id)
    live = None if row is None else load_job(c, row)
    request = ControlRequest(verb=Verb.ABORT, reason=reason)
    if live is not None and requests.check(c, job, live, row, request):
        requests.carry_out(c, live, request, now)
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


def _cancel(c: Connection, live: LiveJob, now: int) -> Changes:
    return cancel_job(c, live, now) if live.standing is None else ending.abort(c, live, Changes(), now)
