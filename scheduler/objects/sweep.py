"""Sweep (garbage collection): the search for blobs that nothing refers to.

Bytes are written before they are named, and removed after their last name. A crash in between leaves a file that
nothing refers to. Only processes that have ended leave such files. So at its start a service checks the files that are
older than itself. An agent may have outlived the last service, and hold outputs that already have their names; the new
service does not know that agent, so these outputs do not count, and what the agent makes once it has registered is
younger.

There may be many files and many names, and they come in different orders. So the ids of the files go into a scratch
table on disk, and every reference deletes its row. The rows that are left have no reference. All references are read
in one snapshot: a blob that moves from one name to another meanwhile is seen under one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection, Database
from scheduler.records.sqlite_library import sqlite3

PAGE = 5000
REFERENCES = ("blobs_of_entries", "blobs_of_tasks", "blobs_of_task_inputs", "blobs_of_pins", "blobs_of_staged")


async def sweep(db: Database, blobs: BlobStore, before: int) -> int:
    """Remove the blobs from before `before` (ms since the epoch) that nothing refers to; returns how many."""
    return await db.read(lambda c: remove_unknown(c, blobs, before))


def remove_unknown(c: Connection, blobs: BlobStore, before: int) -> int:
    """Remove unreferenced blobs, in the snapshot of `c`; returns how many. Memory does not grow with their number."""
    removed = 0
    with closing(sqlite3.connect("")) as scratch:  # no name: a temporary file of its own
        scratch.execute("CREATE TABLE files (blob TEXT PRIMARY KEY) WITHOUT ROWID")
        scratch.executemany("INSERT INTO files VALUES (?)", ((blob,) for blob in blobs.older_than(before)))
        for statement in REFERENCES:
            for page in pages(row["blob"] for row in c.each(statement)):
                scratch.executemany("DELETE FROM files WHERE blob = ?", ((blob,) for blob in page))
        for page in pages(blob for (blob,) in scratch.execute("SELECT blob FROM files")):
            blobs.discard(page)
            removed += len(page)
    blobs.discard_unfinished(before)
    return removed


def unwanted(c: Connection, node: str, blobs: list[str]) -> list[str]:
    """The intermediates in `blobs` that lie on a node and are no longer needed."""
    wanted = {row["blob"] for row in c.all("wanted_at_node", node=node, blobs=json.dumps(blobs))}
    return [blob for blob in blobs if blob not in wanted]


def pages(blobs: Iterable[str]) -> Iterator[list[str]]:
    """`blobs`, `PAGE` at a time."""
    iterator = iter(blobs)
    while page := list(islice(iterator, PAGE)):
        yield page
