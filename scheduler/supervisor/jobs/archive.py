"""Archive: the directory that stays of a job that is done, with its lists as ordinary objects.

Each list is copied page by page from the records into a blob, so an archive of millions of rows needs no more memory
than one of ten. `job.json` is written first and again at the end, when it can say that the archive is complete;
`usage.json` says what the tasks used, and when they ran. Every step can be repeated: if a service dies in the middle,
the next one writes the archive again. If the user has removed the job's directory meanwhile, no archive is made.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from scheduler.common.ids import new_id
from scheduler.model import names, naming
from scheduler.model.errors import WireError
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection, Database, Row, execute
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.error_records import archive_line
from scheduler.supervisor.jobs.status import status
from scheduler.supervisor.jobs.usage import archived_usage, charge

PAGE = 1000
SMALL = 64 * 1024  # bytes up to which a chunk is written without a thread
HEADERS = {"access-control-allow-origin": "*"}
Maker = Callable[[], Awaitable[NewObject]]
ERRORS_TYPE = "application/x-json-stream; type=job-error"
# File, its content type, the statement that pages through the list, and the function that makes a line of a row.
LISTS: tuple[tuple[str, str, str, Callable[[str], str]], ...] = (
    ("in.txt", "text/plain", "list_inputs", names.as_line),
    ("out.txt", "text/plain", "list_outputs", names.as_line),
    ("fail.txt", "text/plain", "list_failures", names.as_line),
    ("err.txt", ERRORS_TYPE, "list_errors", archive_line),
)


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of a job: its outcome (`done`, `errors`, `cancelled`), numbers, and seconds from creation to end."""

    outcome: str
    outputs: int = 0
    errors: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, row: Row | None) -> Archived:
        if row is None:
            return cls("done")
        outcome = "cancelled" if row["cancelled"] else "errors" if row["errors"] else "done"
        return cls(outcome, row["outputs"], row["errors"], ((row["done"] or row["created"]) - row["created"]) / 1000)

    def fields(self) -> dict[str, Any]:
        return asdict(self)


async def archive_job(db: Database, blobs: BlobStore, clock: Callable[[], int], live: LiveJob) -> Archived:
    """Write `job.json` and the lists, remove `live`, and record that the job is archived. Returns what became of it."""
    await db.write(execute("archive_started", job=live.id, now=clock()))
    job_json = partial(_document, db, blobs, live, "job.json", status)
    lists = [partial(_list, db, blobs, live, *described) for described in LISTS]
    await _put(db, blobs, clock, [job_json, partial(_document, db, blobs, live, "usage.json", archived_usage), *lists])
    result = await db.write(partial(_finish, live=live, now=clock()))
    await _put(db, blobs, clock, [job_json])
    return result


async def _put(db: Database, blobs: BlobStore, clock: Callable[[], int], makers: Iterable[Maker]) -> None:
    """Make objects and name them.

    If that fails no blob of them is left, so that a full disk does not fill up further.
    """
    objects: list[NewObject] = []
    try:
        for make in makers:
            objects.append(await make())
        await blobs.durable()
        placed = await db.write(partial(namespace.put_objects, objects=objects, now=clock(), make_parents=False))
    except Exception:  # not for a cancellation: the names may exist by then
        blobs.discard([new.etag for new in objects if new.size])
        raise
    blobs.discard([*placed.discard, *(new.etag for new, _ in placed.refused if new.size)])


async def _list(
    db: Database,
    blobs: BlobStore,
    live: LiveJob,
    name: str,
    content_type: str,
    statement: str,
    line: Callable[[str], str],
) -> NewObject:
    return await _store(blobs, live, name, content_type, _pages(db, live, statement, line))


async def _document(
    db: Database, blobs: BlobStore, live: LiveJob, name: str, make: Callable[[Connection, Row], dict[str, Any]]
) -> NewObject:
    def read(c: Connection) -> bytes:
        row = c.one("job_by_id", job=live.id)
        assert row is not None
        return json.dumps(make(c, row)).encode()

    async def whole() -> AsyncIterator[bytes]:
        yield await db.read(read)

    return await _store(blobs, live, name, "application/json", whole())


async def _pages(db: Database, live: LiveJob, statement: str, line: Callable[[str], str]) -> AsyncIterator[bytes]:
    """A list of a job as lines, a page at a time, made in a reader's thread."""

    def read(c: Connection) -> tuple[int, bytes] | None:
        rows = c.all(statement, job=live.id, after=after, limit=PAGE)
        return (rows[-1]["seq"], "".join(f"{line(row['name'])}\n" for row in rows).encode()) if rows else None

    after = 0
    while page := await db.read(read):
        after, lines = page
        yield lines


async def _store(
    blobs: BlobStore, live: LiveJob, name: str, content_type: str, chunks: AsyncIterator[bytes]
) -> NewObject:
    """Write a new blob. It is named later, when all of the archive is durable."""
    fd = blobs.create()
    try:
        size, digest = 0, hashlib.md5(usedforsecurity=False)
        async for chunk in chunks:
            await _append(fd, chunk)
            size += len(chunk)
            digest.update(chunk)
        blob = new_id()
        if size:
            blobs.publish(fd, blob)
    finally:
        blobs.drop(fd)
    path = f"{naming.job_directory(live.owner, live.uuid)}/{name}"
    md5 = base64.b64encode(digest.digest()).decode()
    return NewObject(path, blob, size, md5, content_type, headers=HEADERS)


async def _append(fd: int, chunk: bytes) -> None:
    """Write all of a chunk; a large one in a thread, as disks may be slow."""

    def write() -> None:
        with open(fd, "wb", closefd=False) as file:
            file.write(chunk)

    if len(chunk) <= SMALL:
        write()
        return
    writing = asyncio.ensure_future(asyncio.to_thread(write))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise


def _finish(c: Connection, live: LiveJob, now: int) -> Archived:
    with contextlib.suppress(WireError):  # the user has removed it already, or keeps other objects there
        namespace.delete(c, f"{naming.job_directory(live.owner, live.uuid)}/live")
    row = c.one("job_by_id", job=live.id)
    if row is not None and row["archive_done"] is None:
        charge(c, row, now)
    c.run("archive_finished", job=live.id, now=now)
    return Archived.of(row)
