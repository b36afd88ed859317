"""Steps: what an operation does next, by its status; each is one transaction, and may be repeated after a crash."""

from __future__ import annotations

from scheduler.engine.operations.status import Event, Status
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import attempts, ending, planning, preparation, publication

# Operations of one account that run beside each other; the others wait.
MAX_RUNNING = 8


def has_work(live: LiveJob, ready: int, ahead: int) -> bool:
    """Whether an operation has a step to take now. `ready`: its tasks that wait for agents, at most `ahead`."""
    assert live.standing is not None
    match live.standing.status:
        case Status.PREPARING:
            return live.pending or live.input_done
        case Status.PENDING | Status.COMPLETING | Status.FAILING | Status.ABORTING:
            return not live.stalled
        case Status.RUNNING:
            return live.standing.stage is not None and ready < ahead
        case Status.COMPLETED | Status.FAILED | Status.ABORTED:
            return False
        case _:
            return True


def needs_inputs(live: LiveJob) -> bool:
    """Whether an operation is about to begin, and its inputs were not looked at yet."""
    return live.standing is not None and live.standing.status is Status.PENDING and not live.checked


def take(c: Connection, live: LiveJob, now: int) -> Changes:
    """Take the next step of an operation, by its recorded status."""
    row = c.one("job_by_id", job=live.id)
    assert row is not None
    match Status(row["status"]):
        case Status.INITIALIZING:
            return _move(c, live, now, Event.STARTED)
        case Status.PREPARING:
            return preparation.prepare_page(c, live, now)
        case Status.PENDING:
            return _move(c, live, now, Event.PLACED) if _has_place(c, live) else Changes(stalled={live.id})
        case Status.MATERIALIZING | Status.RUNNING:
            return planning.plan_page(c, live, now)
        case Status.COMPLETING:
            left = attempts.aborting(c, live.pools)  # processes of attempts that were stopped
            return Changes(stalled={live.id}) if left else publication.publish(c, live, now)
        case Status.FAILING | Status.ABORTING:
            return ending.drain_page(c, live, now)
        case _:
            return Changes()


def _move(c: Connection, live: LiveJob, now: int, event: Event) -> Changes:
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    writer.happened(event)
    writer.close()
    return changes


def _has_place(c: Connection, live: LiveJob) -> bool:
    beside = c.one("operations_beside", owner=live.owner)
    return beside is None or beside["n"] < MAX_RUNNING
