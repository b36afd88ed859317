"""What users do to a job, each in one transaction: make it, give it inputs, end them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence

from scheduler.model import naming
from scheduler.model.errors import invalid_job_state
from scheduler.model.job import JobSpec
from scheduler.objects import namespace
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Connection, Row
from scheduler.supervisor.book import JobBook
from scheduler.supervisor.changes import Changes
from scheduler.supervisor.live import LiveJob, load_job

# A job that got no input for so long (ms) has its input ended.
IDLE_INPUT_MS = 3_600_000


def create_job(c: Connection, owner: str, spec: JobSpec, now: int, headers: Mapping[str, str] = NO_HEADERS) -> LiveJob:
    """Record a job, its phases, its reduce tasks, and make its directories, which keep `headers`."""
    job_uuid = str(uuid.uuid4())
    job = c.insert(
        "insert_job", uuid=job_uuid, owner=owner, name=spec.name, document=json.dumps(spec.document), now=now
    )
    for number, phase in enumerate(spec.phases):
        pool = c.insert("insert_phase", job=job, number=number, reducers=phase.reducers)
        tasks = [{"uuid": str(uuid.uuid4()), "pool": pool, "reducer": index} for index in range(phase.reducers)]
        c.many("insert_reduce_task", tasks)
    directory = naming.job_directory(owner, job_uuid)
    for made in (directory, f"{directory}/live", f"{directory}/stor"):
        namespace.put_directory(c, made, headers, now)
    row = c.one("job_by_id", job=job)
    assert row is not None
    return load_job(c, row)


def add_inputs(c: Connection, live: LiveJob, lines: Sequence[str], now: int) -> int:
    """Record lines of input; how many the job has now. Raises WireError InvalidJobState."""
    row = _open(c, live, input_open=True)
    first: int = row["inputs"] + 1
    c.many("insert_input", ({"job": live.id, "seq": seq, "name": line} for seq, line in enumerate(lines, first)))
    c.run("count_inputs", job=live.id, added=len(lines), now=now)
    return first - 1 + len(lines)


def end_input(c: Connection, live: LiveJob, now: int) -> Changes:
    """No input will follow. Raises WireError InvalidJobState if the job is over."""
    _open(c, live)
    c.run("end_input", job=live.id)
    changes = Changes()
    JobBook(c, live, changes, now).close()
    return changes


def end_idle_inputs(c: Connection, find_job: Callable[[int], LiveJob | None], now: int) -> Changes:
    """End the input of every job that got none for `IDLE_INPUT_MS`."""
    changes = Changes()
    for row in c.all("end_idle_inputs", before=now - IDLE_INPUT_MS):
        if live := find_job(row["id"]):
            JobBook(c, live, changes, now).close()
    return changes


def checked(work: Callable[[Connection, LiveJob, int], Changes]) -> Callable[..., Changes]:
    """`work` after a check that the job is not over. Raises WireError InvalidJobState."""

    def run(c: Connection, live: LiveJob, now: int) -> Changes:
        _open(c, live)
        return work(c, live, now)

    return run


def _open(c: Connection, live: LiveJob, input_open: bool = False) -> Row:
    row = c.one("job_by_id", job=live.id)
    assert row is not None
    if row["cancelled"]:
        raise invalid_job_state(live.uuid, "cancelled")
    if row["state"] == "done":
        raise invalid_job_state(live.uuid, "done")
    if input_open and row["input_done"]:
        raise invalid_job_state(live.uuid, "inputDone")
    return row
