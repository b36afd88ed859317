"""Cancelling a job: one transaction, after which no task of it is started and no attempt of it counts.

All writers wait for a transaction, and a job may have a million ready tasks. So those beyond `PAGE` keep their state
for now: no task of a phase that is over is leased, and the counters of `phases` say so from here on. The rest is
cancelled page by page before the job is archived (`retention.reap_job`).
"""

from __future__ import annotations

from scheduler.engine.task import Cancelled, Task, TaskState, step
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs import error_records
from scheduler.supervisor.jobs.changes import Changes, Revoked
from scheduler.supervisor.jobs.writer import JobWriter

# The largest number of attempts in flight; agents request far fewer.
MAX_IN_FLIGHT = 100_000
PAGE = 4096


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
