"""Dispatch: a page of job inputs becomes tasks, inputs of reducers, or error records."""

from __future__ import annotations

from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.resolve import resolve
from scheduler.supervisor.jobs.writer import Item, JobWriter

# Inputs read, looked up and written in one transaction.
PAGE = 500


def dispatch_page(c: Connection, live: LiveJob, now: int) -> tuple[Changes, int]:
    """Dispatch the next page of a job's inputs. Returns the changes, and the number of inputs."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    if not writer.running:
        return changes, 0
    lines = [row["name"] for row in c.all("inputs_page", job=live.id, after=writer.row["dispatched"], limit=PAGE)]
    found = resolve(c, live.owner, lines)
    for line in lines:
        answer = found[line]
        if isinstance(answer, tuple):
            writer.problem(0, line, line, answer)
        else:
            writer.forward(0, Item.of_entry(answer.path, answer.path, answer))
    writer.dispatched(len(lines))
    writer.close()
    return changes, len(lines)
