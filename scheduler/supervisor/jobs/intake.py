"""Intake: what users do to a job, each in one transaction: create it, add inputs, end its input.

The writer is either the owner, which draws the consequences in the same transaction, or a gateway, which leaves them to
the owner: `flag_end` only records that no input will follow, and the owner then calls `advance`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.errors import invalid_job_state
from scheduler.model.job import JobSpec
from scheduler.objects import namespace
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter

# Milliseconds without new input after which a job's input is ended.
IDLE_INPUT_MS = 3_600_000


class Named(Protocol):
    """The identity of a job, as a LiveJob or a JobRef has it."""

    @property
    def id(self) -> int: ...
    @property
    def uuid(self) -> str: ...


class Creator(NamedTuple):
    """The origin of a job: a key, by its fingerprint, and the job (UUID) whose task created it, if any.

    A job that a task created ends with the task's job, at the latest: see `cancel`.
    """

    key: str | None = None
    job: str | None = None


UNKNOWN = Creator()


class JobRef(NamedTuple):
    """A job as its record identifies it."""

    id: int
    uuid: str


def create_job(
    c: Connection,
    owner: str,
    spec: JobSpec,
    now: int,
    headers: Mapping[str, str] = NO_HEADERS,
    supervisor: int | None = None,
    creator: Creator = UNKNOWN,
) -> LiveJob:
    """Record a job, its phases and its reduce tasks, and make its directories, which store `headers`.

    `supervisor` owns it; None: the next supervisor to claim it. Raises WireError if the job of its creator is done.
    """
    job_uuid = new_id()
    job = c.insert(
        "insert_job", uuid=job_uuid, owner=owner, name=spec.name, document=json.dumps(spec.document), now=now,
        supervisor=supervisor, **_descent(c, creator),
    )  # fmt: skip
    for number, phase in enumerate(spec.phases):
        if spec.operation is not None:
            c.insert("insert_stage", job=job, number=number)
            continue
        pool = c.insert("insert_phase", job=job, number=number, reducers=phase.reducers)
        tasks = [{"uuid": new_id(), "pool": pool, "reducer": index} for index in range(phase.reducers)]
        c.many("insert_reduce_task", tasks)
    directory = naming.job_directory(owner, job_uuid)
    for made in (directory, f"{directory}/live", f"{directory}/stor"):
        namespace.put_directory(c, made, headers, now)
    if spec.operation is not None:
        limit = spec.operation.time_limit_s
        deadline = None if limit is None else now + 1000 * limit
        kind, alias = spec.operation.type, spec.operation.alias
        c.run("begin_operation", job=job, deadline=deadline, type=kind, alias=alias)
    row = c.one("job_by_id", job=job)
    assert row is not None
    return load_job(c, row)


def _descent(c: Connection, creator: Creator) -> dict[str, object]:
    """The columns for a job's origin. The key of a job that a task created is that of the task's job."""
    if creator.job is None:
        return {"creator_key": creator.key, "parent": None}
    parent = c.one("job_by_uuid", uuid=creator.job)
    if parent is None or parent["state"] == "done":
        raise invalid_job_state(creator.job, "done")
    return {"creator_key": parent["creator_key"], "parent": parent["id"]}


def add_inputs(c: Connection, job: Named, lines: Sequence[str], now: int) -> int:
    """Record lines of input; returns how many the job has now. Raises WireError InvalidJobState."""
    row = check_open(c, job, input_open=True)
    first: int = row["inputs"] + 1
    c.many("insert_input", ({"job": job.id, "seq": seq, "name": line} for seq, line in enumerate(lines, first)))
    c.change("count_inputs", job=job.id, added=len(lines), now=now)
    return first - 1 + len(lines)


def end_input(c: Connection, live: LiveJob, now: int) -> Changes:
    """End the job's input, and do what follows. Raises WireError InvalidJobState if the job is over."""
    flag_end(c, live)
    return advance(c, live, now)


def flag_end(c: Connection, job: Named) -> None:
    """Record that no input will follow; the owner does what follows from it. Raises WireError as `end_input` does."""
    check_open(c, job)
    c.run("end_input", job=job.id)


def advance(c: Connection, live: LiveJob, now: int) -> Changes:
    """Do what follows from the counters of a job, if anything does."""
    return advance_all(c, [live], now)


def advance_all(c: Connection, lives: Iterable[LiveJob], now: int) -> Changes:
    """Do what follows from the counters of some jobs."""
    changes = Changes()
    for live in lives:
        JobWriter(c, live, changes, now).close()
    return changes


def end_idle_inputs(c: Connection, find_job: Callable[[int], LiveJob | None], supervisor: int, now: int) -> Changes:
    """End the input of each job of a supervisor that had no new input for `IDLE_INPUT_MS`."""
    changes = Changes()
    for row in c.all("end_idle_inputs", before=now - IDLE_INPUT_MS, supervisor=supervisor):
        if live := find_job(row["id"]):
            JobWriter(c, live, changes, now).close()
    return changes


def check_open(c: Connection, job: Named, input_open: bool = False) -> Row:
    """The record of a job that can still be changed. Raises WireError InvalidJobState."""
    row = c.one("job_by_id", job=job.id)
    if row is None:  # its records were removed meanwhile
        raise invalid_job_state(job.uuid, "done")
    if row["cancelled"]:
        raise invalid_job_state(job.uuid, "cancelled")
    if row["state"] == "done":
        raise invalid_job_state(job.uuid, "done")
    if input_open and row["input_done"]:
        raise invalid_job_state(job.uuid, "inputDone")
    return row
