"""Control requests, carried out: what users ask of a job that runs (`model.operations.control`).

`check` says whether a request can be carried out, and whether anything is left to do: each may be repeated, and what
holds already is done. `carry_out` is one transaction of the job's owner, which applies the changes to its cache. A
process that does not own the job writes the request down instead (`record`), and the owner takes it up (`take_up`).

Suspending a job is recorded in either case at once. So an owner that has not heard of it yet leases no task: the
transaction that grants leases asks the records.
"""

from __future__ import annotations

import json

from scheduler.engine.operations.status import ENDING, Event, Status
from scheduler.engine.task import FINAL, TaskState
from scheduler.model import errors
from scheduler.model.job import JobSpec
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.model.operations.document import COMPLETABLE, SEPARABLE, updated
from scheduler.model.operations.document_checks import check_update
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.operations.stage import Reads, Stage
from scheduler.records.database import Connection, Row
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.jobs.cancel import MAX_IN_FLIGHT, cancel_job
from scheduler.supervisor.jobs.changes import Changes, Revoked
from scheduler.supervisor.jobs.intake import Named
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import ending
from scheduler.supervisor.tasks.commit import release_attempts

# Requests about one job that may wait for its owner.
MAX_WAITING = 100
# What only operations can be asked.
OF_OPERATIONS = frozenset({Verb.COMPLETE, Verb.UPDATE, Verb.ABORT_ATTEMPT, Verb.ABANDON})


def record(c: Connection, job: Named, request: ControlRequest) -> None:
    """Write a request down for the owner of a job. Raises WireError as `check` does."""
    row = c.one("job_by_id", job=job.id)
    live = None if row is None else load_job(c, row)
    if live is None or not check(c, job, live, row, request):
        return
    waiting = c.one("count_requests", job=job.id)
    if waiting is not None and waiting["n"] >= MAX_WAITING:
        raise errors.service_unavailable(
            f"{MAX_WAITING} requests about job {job.uuid} wait for its supervisor: try later"
        )
    if request.verb is Verb.SUSPEND:
        c.run("set_suspended", job=job.id, suspended=1)
    c.run("insert_request", job=job.id, request=request.model_dump_json())
    c.announce(announcements.job(job.id))


def take_up(c: Connection, live: LiveJob, now: int) -> Changes:
    """Carry out the next request that was written down. What cannot be done any more is dropped."""
    found = c.one("requests_of_job", job=live.id, limit=1)
    if found is None:
        return Changes()
    c.run("forget_request", id=found["id"])
    try:
        return carry_out(c, live, ControlRequest.model_validate_json(found["request"]), now)
    except errors.WireError:
        return Changes(changed_jobs={live.id})


def carry_out(c: Connection, live: LiveJob, request: ControlRequest, now: int) -> Changes:
    """Carry out a request. Raises WireError as `check` does."""
    row = c.one("job_by_id", job=live.id)
    if not check(c, live, live, row, request):
        return Changes(changed_jobs={live.id})
    match request.verb:
        case Verb.SUSPEND:
            return _suspend(c, live, request, now)
        case Verb.RESUME:
            c.run("set_suspended", job=live.id, suspended=0)
            c.announce(announcements.news(live.id))
            return Changes(suspended={live.id: False}, changed_jobs={live.id})
        case Verb.COMPLETE:
            return _complete(c, live, now)
        case Verb.ABORT if live.spec.operation is None:
            return cancel_job(c, live, now)
        case Verb.ABORT:
            return ending.abort(c, live, Changes(), now, request.reason)
        case Verb.UPDATE:
            return _update(c, live, request)
        case Verb.ABORT_ATTEMPT:
            return release_attempts(c, live, [_task(c, live, request)], now, AbortReason.USER_REQUEST)
        case Verb.ABANDON:
            return _abandon(c, live, _task(c, live, request), now)


def check(c: Connection, job: Named, live: LiveJob, row: Row | None, request: ControlRequest) -> bool:
    """Whether a request leaves anything to do. Raises WireError if it cannot be carried out."""
    if row is None:
        raise errors.invalid_job_state(job.uuid, "done")
    verb, operation = request.verb, live.spec.operation
    if operation is None and verb in OF_OPERATIONS:
        raise errors.not_an_operation(job.uuid, verb)
    status = None if row["status"] is None else Status(row["status"])
    if verb is Verb.ABORT and (row["cancelled"] or status in ENDING | {Status.ABORTED}):
        return False
    if verb is Verb.COMPLETE and operation is not None and operation.type not in COMPLETABLE:
        raise errors.not_completable(job.uuid, operation.type)
    if verb is Verb.COMPLETE and (row["early"] or status in (Status.COMPLETING, Status.COMPLETED)):
        return False
    if verb is Verb.UPDATE:
        check_update(request.keys)
    if verb is Verb.ABORT_ATTEMPT and not _runs(_task(c, live, request), live, request):
        return False
    if verb is Verb.ABANDON and not _can_be_abandoned(_task(c, live, request), live, request):
        return False
    if row["state"] == "done" or status in ENDING or row["cancelled"]:
        raise errors.invalid_job_state(job.uuid, str(status or ("cancelled" if row["cancelled"] else "done")))
    return verb is not Verb.RESUME or bool(row["suspended"])


def _suspend(c: Connection, live: LiveJob, request: ControlRequest, now: int) -> Changes:
    c.run("set_suspended", job=live.id, suspended=1)
    c.announce(announcements.news(live.id))
    rows: list[Row] = []
    if request.aborts:
        for pool in live.pools:
            rows += c.all("running_of_pool", pool=pool, limit=MAX_IN_FLIGHT)
    changes = release_attempts(c, live, rows, now, AbortReason.USER_REQUEST)
    changes.suspended[live.id] = True
    changes.changed_jobs.add(live.id)
    return changes


def reads_inputs(stage: Stage) -> bool:
    """Whether the tasks of a stage read the inputs of the operation, not what another stage has made."""
    return stage.reads is not Reads.OUTPUTS


def _complete(c: Connection, live: LiveJob, now: int) -> Changes:
    """End the stages that read the input; those that put together what there is still run."""
    changes, operation = Changes(), live.spec.operation
    assert operation is not None
    writer = JobWriter(c, live, changes, now)
    assert writer.status is not None
    reading = [pool for pool, stage in zip(live.pools, operation.stages, strict=True) if reads_inputs(stage)]
    ending.halt(c, reading, AbortReason.USER_REQUEST, changes)
    for pool in reading:
        c.run("end_stage", pool=pool)
    c.run("set_early", job=live.id)
    unread = writer.row["inputs"] - writer.row["dispatched"]
    writer.dispatched(unread)
    changes.dispatched[live.id] += unread
    writer.happened(Event.COMPLETE_ASKED)
    writer.close()
    return changes


def _update(c: Connection, live: LiveJob, request: ControlRequest) -> Changes:
    row = c.one("job_by_id", job=live.id)
    assert row is not None
    spec = JobSpec.of(updated(json.loads(row["document"]), request.keys))
    assert spec.operation is not None
    limit = spec.operation.time_limit_s
    deadline = None if limit is None else row["created"] + 1000 * limit
    c.run("set_document", job=live.id, document=json.dumps(spec.document), deadline=deadline)
    c.announce(announcements.news(live.id))
    return Changes(specs={live.id: spec}, changed_jobs={live.id})


def _abandon(c: Connection, live: LiveJob, row: Row, now: int) -> Changes:
    """Give up a task: it counts as done, and has no output."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    c.run("cancel_task", task=row["id"])
    if row["state"] == TaskState.LEASED:
        changes.revoked.append(Revoked(row["agent"], row["pool"], row["id"], row["attempt"]))
        reason = AbortReason.USER_REQUEST
        c.run("stop_attempt", task=row["id"], attempt=row["attempt"], reason=reason)
        writer.unsuccessful(row["pool"], "aborted")
    elif row["state"] == TaskState.READY:
        changes.now_ready(row["pool"], row["node"], -1)
    c.run("count_abandoned", job=live.id)
    writer.finished(row["pool"], None)
    writer.close()
    return changes


def _task(c: Connection, live: LiveJob, request: ControlRequest) -> Row:
    """The row of the task that a request is about. Raises WireError."""
    row = c.one("task_of_stage", job=live.id, stage=request.stage, number=request.task)
    if row is None:
        raise errors.no_such_task(live.uuid, f"{request.stage}.{request.task}")
    return row


def _runs(row: Row, live: LiveJob, request: ControlRequest) -> bool:
    """Whether an attempt runs, so that it can be aborted. Raises WireError if there was never such an attempt."""
    if not 1 <= request.attempt <= row["attempt"]:
        raise errors.no_such_task(live.uuid, f"{request.stage}.{request.task}.{request.attempt}")
    return bool(row["state"] == TaskState.LEASED and row["attempt"] == request.attempt)


def _can_be_abandoned(row: Row, live: LiveJob, request: ControlRequest) -> bool:
    """Whether a task is open, so that it can be given up. Raises WireError if it cannot."""
    name = f"{request.stage}.{request.task}"
    if live.kind(request.stage) not in SEPARABLE:
        raise errors.task_needed(name, str(live.kind(request.stage)))
    if row["state"] == TaskState.COMMITTED:
        raise errors.task_state(name, "completed")
    if row["state"] == TaskState.WAITING:
        raise errors.task_state(name, "not planned to its end")
    return row["state"] not in FINAL
