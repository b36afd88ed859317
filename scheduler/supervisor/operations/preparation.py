"""Preparation: the inputs of an operation are found with its owner's rights, and pinned, a page at a time.

A line that ends in a slash is a directory: all objects in it are inputs, in the order of their names, as they are at
one instant; hidden ones (`.set`) are left out. A name that does not exist fails the operation before any task runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.engine.operations.status import Event
from scheduler.model import names
from scheduler.model.errors import JobErrorCode
from scheduler.objects import namespace
from scheduler.objects.entries import Entry, encode_headers
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.resolve import Problem, is_private, private_problem, resolve
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import ending

PAGE = 500


class Pinned(NamedTuple):
    """The result of a page: how many lines were read, and what is wrong with one of them, if anything is."""

    lines: int
    problem: Problem | None = None


def prepare_page(c: Connection, live: LiveJob, now: int) -> Changes:
    """Pin the next page of inputs; after the last one the operation waits for its place."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    lines = [row["name"] for row in c.all("inputs_page", job=live.id, after=writer.row["dispatched"], limit=PAGE)]
    problem = _pin(c, live, [(line, 0) for line in lines])
    writer.dispatched(len(lines))
    changes.dispatched[live.id] += len(lines)
    if problem is None and writer.row["input_done"] and len(lines) < PAGE:
        _count(c, live)
        problem = _pin_dictionaries(c, live)
        if problem is None:
            writer.happened(Event.PINNED)
    writer.close()
    return ending.fail(c, live, changes, now, *problem) if problem else changes


def _pin_dictionaries(c: Connection, live: LiveJob) -> Problem | None:
    """Pin the dictionaries of a join, behind the inputs: they do not count as such."""
    operation = live.spec.operation
    assert operation is not None
    return _pin(c, live, [(line, number) for number, line in enumerate(operation.dictionaries, 1)])


def _pin(c: Connection, live: LiveJob, named: Sequence[tuple[str, int]]) -> Problem | None:
    """Pin what some lines name, each with its number of a dictionary. Returns what is wrong with one of them."""
    totals = c.one("pin_totals", job=live.id)
    assert totals is not None
    following: int = totals["pins"]
    found = resolve(c, live.owner, [line for line, _ in named if not line.endswith("/")])
    rows: list[dict[str, object]] = []
    for line, dictionary in named:
        if line.endswith("/"):
            c.many("insert_pin", rows)
            rows = []
            directory = names.from_input_line(line)
            if problem := _directory_problem(c, live.owner, line, directory):
                return problem
            following += c.run("pin_directory", job=live.id, first=following, dir=directory, dictionary=dictionary)
            continue
        answer = found[line]
        if not isinstance(answer, Entry):
            return answer
        rows.append({**_row(live.id, following, answer), "dictionary": dictionary})
        following += 1
    c.many("insert_pin", rows)
    return None


def _directory_problem(c: Connection, owner: str, line: str, directory: str) -> Problem | None:
    if is_private(owner, directory):
        return private_problem(c, line, directory)
    entry = namespace.lookup(c, directory) if directory.startswith("/") else None
    if entry is None or not entry.is_directory:
        return JobErrorCode.RESOURCE_NOT_FOUND, f'no such directory: "{line}"'
    return None


def _row(job: int, seq: int, entry: Entry) -> dict[str, object]:
    return {
        "job": job,
        "seq": seq,
        "name": entry.path,
        "blob": entry.etag,
        "size": entry.size,
        "md5": entry.md5,
        "type": entry.type,
        "headers": encode_headers(entry.headers),
    }


def _count(c: Connection, live: LiveJob) -> None:
    totals = c.one("pin_totals", job=live.id)
    assert totals is not None
    operation = live.spec.operation
    partitioning = operation.partitioning if operation else None
    partitions = partitioning.partitions(totals["bytes"]) if partitioning else 1
    c.run("set_pinned", job=live.id, pins=totals["pins"], bytes=totals["bytes"], partitions=partitions)
