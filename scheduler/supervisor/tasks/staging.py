"""Staging: outputs of committed attempts, kept aside until all of the operation's outputs are published together.

A staged output is a row with a blob that is durable already. Its key is the order of publication: the task's number in
its stage, and its place among the task's outputs. Empty outputs are left out: a set has no empty parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.model.wire import OutputRecord
from scheduler.objects.entries import encode_headers
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.tasks.outputs import new_object


def stage(c: Connection, live: LiveJob, number: int, row: Row, outputs: Sequence[OutputRecord]) -> int:
    """Stage what a task of stage `number` has left, except for what the script has named itself. Returns how much."""
    rows = []
    for made, output in enumerate(outputs):
        if output.blob is None or output.named or not output.blob.size:
            continue
        new = new_object(output.name, output.blob, output.headers)
        rows.append(
            {
                "job": live.id,
                "stage": number,
                "number": row["number"],
                "output": made,
                "blob": new.etag,
                "size": new.size,
                "md5": new.md5,
                "type": new.type,
                "headers": encode_headers(new.headers),
            }
        )
    c.many("insert_staged", rows)
    return len(rows)


def reference(outputs: Sequence[OutputRecord]) -> str | None:
    """The name of an output that has no bytes of its own (`mcat`), if there is one: operations have no use for it."""
    return next((output.name for output in outputs if output.blob is None), None)
