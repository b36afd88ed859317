"""Ending: an operation fails or is aborted, and then drains; what one that is over has held goes page by page.

`fail` and `abort` are one transaction each, after which no task of the operation is started and no attempt counts. The
operation is over once no process of it is left on any node, and nothing that was staged: nothing of it was ever
visible. Its pins go when it is archived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from scheduler.engine.operations.status import Event, step
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.reasons import AbortReason
from scheduler.objects import locks, pins
from scheduler.records.database import Connection, Database
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.cancel import MAX_IN_FLIGHT, PAGE
from scheduler.supervisor.jobs.changes import Changes, Revoked
from scheduler.supervisor.jobs.retention import Discard
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import attempts

STAGED_PAGE = 1000


def fail(c: Connection, live: LiveJob, changes: Changes, now: int, code: str, message: str) -> Changes:
    """Fail an operation, if it can still fail: the first error counts."""
    result = {"outcome": "failed", "error": {"code": code, "message": message}}
    return _end(c, live, changes, now, Event.FAILED, AbortReason.OPERATION_FAILED, result)


def fail_late(c: Connection, find_job: Callable[[int], LiveJob | None], supervisor: int, now: int) -> Changes:
    """Fail the operations of a supervisor that have taken longer than they may."""
    changes = Changes()
    for row in c.all("late_operations", supervisor=supervisor, now=now):
        live = find_job(row["id"])
        if live is not None and live.spec.operation is not None:
            message = f"the operation took longer than it may: its time_limit is {live.spec.operation.time_limit_s} s"
            fail(c, live, changes, now, JobErrorCode.TASK_TIMEOUT, message)
    return changes


def abort(c: Connection, live: LiveJob, changes: Changes, now: int, reason: str | None = None) -> Changes:
    """Abort an operation, if it can still be aborted."""
    result = {"outcome": "aborted", "reason": reason or "aborted by its user"}
    return _end(c, live, changes, now, Event.ABORT_ASKED, AbortReason.USER_REQUEST, result)


def _end(
    c: Connection,
    live: LiveJob,
    changes: Changes,
    now: int,
    event: Event,
    reason: AbortReason,
    result: Mapping[str, object],
) -> Changes:
    writer = JobWriter(c, live, changes, now)
    assert writer.status is not None
    if step(writer.status, event) is writer.status:
        return changes
    c.run("set_result", job=live.id, result=json.dumps(result))
    halt(c, live.pools, reason, changes)
    c.run("cancel_job" if event is Event.ABORT_ASKED else "end_input", job=live.id)
    c.run("cancel_phase", job=live.id)
    writer.happened(event)
    writer.close()
    return changes


def halt(c: Connection, pools: Sequence[int], reason: AbortReason, changes: Changes) -> None:
    """Cancel the open tasks of some stages, and stop their attempts."""
    for pool in pools:
        _halt_stage(c, pool, changes)
    attempts.stop_all(c, pools, reason)


def _halt_stage(c: Connection, pool: int, changes: Changes) -> None:
    """Cancel the open tasks of a stage; the rest of a page of them is cancelled before the job is archived."""
    for row in c.all("leased_of_pool", pool=pool, limit=MAX_IN_FLIGHT):
        changes.revoked.append(Revoked(row["agent"], pool, row["id"], row["attempt"]))
    changes.ready[pool] -= c.run("cancel_ready", pool=pool, limit=PAGE)
    c.run("cancel_leased", pool=pool)
    c.run("cancel_waiting", pool=pool)


def drain_page(c: Connection, live: LiveJob, now: int) -> Changes:
    """Forget a page of what an operation has staged; once that, and its last process, are gone, it is over."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    if _drop_staged(c, live, changes):
        pass
    elif attempts.aborting(c, live.pools):
        changes.stalled.add(live.id)
    else:
        locks.release(c, live.id)
        writer.happened(Event.DRAINED)
        announce_place(c, live)
    writer.close()
    return changes


def _drop_staged(c: Connection, live: LiveJob, changes: Changes) -> bool:
    """Forget a page of staged outputs, and discard them. Returns whether there may be more."""
    rows = c.all("drop_staged", job=live.id, limit=STAGED_PAGE)
    changes.discard += [row["blob"] for row in rows if row["size"] and not row["link"]]
    return len(rows) >= STAGED_PAGE


def announce_place(c: Connection, live: LiveJob) -> None:
    """Tell the operation of the account that waits longest that there may be a place for it."""
    if waiting := c.one("next_pending", owner=live.owner):
        c.announce(announcements.job(waiting["id"]))


def release_page(c: Connection, live: LiveJob) -> tuple[Changes, bool]:
    """Release a page of what an operation that is over has held. Returns the changes, and whether there may be more."""
    changes = Changes()
    staged = _drop_staged(c, live, changes)
    pinned = pins.release_page(c, live.id)
    buried, more = pins.bury_page(c)
    changes.discard += buried
    return changes, staged or pinned or more


async def release(db: Database, live: LiveJob, discard: Discard) -> None:
    """Release all that an operation that is over has held: staged leftovers, pins, and blobs without a name."""
    more = live.standing is not None
    while more:
        changes, more = await db.write(lambda c: release_page(c, live))
        discard((None, blob) for blob in changes.discard)
