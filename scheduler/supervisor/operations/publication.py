"""Publication: everything that an operation has staged gets its names, in one transaction.

Before it nothing is visible, and after it everything. What is at the target is checked once more: a user may have
changed it, though not what is locked. The parts of a set are named `part-000000` and on, in their order; appending
goes on after the last part. A single object is put like any other, and an empty one if nothing was printed.

It is made of statements over sets: 100,000 parts take one to three seconds of processor time, for which the other
writers wait.
"""

from __future__ import annotations

import json

from scheduler.common.ids import new_blob_id
from scheduler.engine.operations.status import Event
from scheduler.model import names, naming
from scheduler.model.errors import WireError
from scheduler.model.operations.document import Mode, Operation
from scheduler.objects import locks, namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import DEFAULT_TYPE, NewObject
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import ending
from scheduler.supervisor.operations.creation import check_target

# Where an operation without an output of its own leaves its parts, below the job's directory.
OWN_OUTPUT = "out"


def publish(c: Connection, live: LiveJob, now: int) -> Changes:
    """Publish what is staged. An operation whose target cannot take it fails."""
    operation, changes = live.spec.operation, Changes()
    assert operation is not None
    try:
        discard = _publish(c, live, operation, now)
    except WireError as refused:
        return ending.fail(c, live, changes, now, refused.code, refused.message)
    changes.discard += discard
    writer = JobWriter(c, live, changes, now)
    c.run("set_result", job=live.id, result=json.dumps(_result(writer.row)))
    locks.release(c, live.id)
    ending.announce_place(c, live)
    writer.happened(Event.PUBLISHED)
    writer.close()
    return changes


def _result(row: Row) -> dict[str, object]:
    """The outcome, and what its user has given up."""
    given_up = {"early": True} if row["early"] else {}
    return {"outcome": "completed", **given_up, **({"abandoned": row["abandoned"]} if row["abandoned"] else {})}


def output_path(live: LiveJob) -> str:
    """The path of an operation's output."""
    assert live.spec.operation is not None
    return live.spec.operation.output.path or f"{naming.stor(live.owner, live.uuid)}/{OWN_OUTPUT}"


def _publish(c: Connection, live: LiveJob, operation: Operation, now: int) -> list[str]:
    """Name what the last stage has staged; returns blobs to discard. Raises WireError, and has changed nothing then."""
    path, stage = output_path(live), max(0, len(live.pools) - 1)
    check_target(c, operation.output, path)
    if operation.output.whole:
        return _publish_object(c, live, path, stage, now)
    namespace.make_directories(c, path, now)
    first = 0
    if operation.output.mode is Mode.REPLACE:
        c.run("doom_objects", dir=path)
        c.run("delete_objects", dir=path)
    elif operation.output.mode is Mode.APPEND:
        first = _next_part(c, path)
    parts = c.run("publish_parts", dir=path, first=first, job=live.id, stage=stage, now=now)
    c.run("share_links", job=live.id, stage=stage)
    c.run("forget_staged", job=live.id, stage=stage)
    directory, name = names.split(path)
    c.run("count_entries", path=path, dir=directory, name=name)
    if parts:
        c.run("list_published", job=live.id, dir=path, first=part_name(first))
    c.run("count_outputs", job=live.id, outputs=parts)
    return []


def _publish_object(c: Connection, live: LiveJob, path: str, stage: int, now: int) -> list[str]:
    rows = c.all("staged_of", job=live.id, stage=stage, limit=2)
    assert len(rows) <= 1, "one task makes one object"
    new = NewObject(path, new_blob_id(), 0, EMPTY_MD5)
    if rows:
        found = rows[0]
        kept = json.loads(found["headers"])
        new = NewObject(
            path, found["blob"], found["size"], found["md5"] or "", found["type"] or DEFAULT_TYPE, headers=kept
        )
    c.run("forget_staged", job=live.id, stage=stage)
    placed = namespace.put_objects(c, [new], now, by_service=True, holder=live.id)
    if placed.refused:
        raise placed.refused[0][1]
    c.run("insert_output", job=live.id, seq=1, name=path)
    c.run("count_outputs", job=live.id, outputs=1)
    return placed.discard


def part_name(number: int) -> str:
    return f"part-{number:06}"


def _next_part(c: Connection, path: str) -> int:
    """The number of the part that follows the last one of a set."""
    last = c.one("last_part", dir=path)
    digits = last["name"].removeprefix("part-") if last else ""
    return int(digits) + 1 if digits.isascii() and digits.isdigit() else 0
