"""Dispatch: a page of job inputs becomes tasks, inputs of reducers, or error records."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.objects.entries import Entry
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs import intake
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.resolve import resolve
from scheduler.supervisor.jobs.writer import Item, JobWriter

# Inputs read, looked up and written in one transaction.
PAGE = 500


def take_in(
    c: Connection, live: LiveJob, lines: Sequence[str], end: bool, dispatches: bool, now: int
) -> tuple[Changes, int, int]:
    """Record inputs, `end` the job's input, and dispatch a page of them.

    Returns the changes, the number of inputs so far, and how many were dispatched. Raises WireError if it takes none.
    """
    inputs = intake.add_inputs(c, live, lines, now)
    if end:
        intake.flag_end(c, live)
    if dispatches:
        changes, count = dispatch_page(c, live, now)
        return changes, inputs, count
    return intake.advance(c, live, now) if end else Changes(), inputs, 0


def dispatch_page(c: Connection, live: LiveJob, now: int) -> tuple[Changes, int]:
    """Dispatch the next page of a job's inputs. Returns the changes, and the number of inputs."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    if not writer.running:
        return changes, 0
    c.ahead("phases_of_job", job=live.id)
    lines = [row["name"] for row in c.all("inputs_page", job=live.id, after=writer.row["dispatched"], limit=PAGE)]
    found = resolve(c, live.owner, lines)
    for line in lines:
        answer = found[line]
        if not isinstance(answer, Entry):
            writer.problem(0, line, line, answer)
        else:
            writer.forward(0, Item.of_entry(answer.path, answer.path, answer))
    writer.dispatched(len(lines))
    writer.close()
    return changes, len(lines)
