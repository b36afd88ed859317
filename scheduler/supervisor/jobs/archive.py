"""Archive: the directory that stays of a job that is done, with its lists as ordinary objects.

All its files are named in one transaction, which also says that the job is archived; so `job.json` can say that, too.
`usage.json` says what the tasks used, and when they ran. Most jobs are small: no list has more than a page. Such an
archive costs one read, one flush, which it shares with other small objects, and one transaction, so that the next job
hardly waits for it. The lists of other jobs are copied page by page from the records into blobs, so an archive of
millions of rows needs no more memory than one of ten.

Every step can be repeated: if a service dies in the middle, the next one writes the archive again. If the user has
removed the job's directory meanwhile, no archive is made.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from scheduler.common.ids import new_blob_id
from scheduler.model import names, naming
from scheduler.model.errors import WireError
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NewObject
from scheduler.objects.namespace import Placed
from scheduler.records.database import Connection, Database, Row, execute
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.error_records import archive_line
from scheduler.supervisor.jobs.status import status
from scheduler.supervisor.jobs.usage import archived_usage, charge

PAGE = 1000
SMALL = 64 * 1024  # bytes up to which a chunk is written without a thread
HEADERS = {"access-control-allow-origin": "*"}
JSON_TYPE = "application/json"
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
    """Write the archive, remove `live`, and record that the job is archived. Returns what became of it.

    If that fails no blob of it is left, so that a full disk does not fill up further.
    """
    started = clock()
    objects: list[NewObject] = []
    try:
        files = await db.read(partial(_small, live=live, now=started))
        if files is not None:
            objects += [_described(live, *file) for file in files]
            await _store_all(
                blobs, [(new.etag, body) for new, (_, _, body) in zip(objects, files, strict=True) if body]
            )
            done = started
        else:
            await db.write(execute("archive_started", job=live.id, now=started))
            for name, content_type, statement, line in LISTS:
                pages = _pages(db, live, statement, line)
                objects.append(await _written(blobs, live, name, content_type, pages))
            done = clock()
            for name, body in await db.read(partial(_documents, live=live, started=started, done=done)):
                objects.append(await _written(blobs, live, name, JSON_TYPE, _whole(body)))
            await blobs.durable()
        placed, result = await db.write(partial(_finish, objects=objects, live=live, started=started, now=done))
    except Exception:  # not for a cancellation: the names may exist by then
        blobs.discard([new.etag for new in objects if new.size])
        raise
    blobs.discard([*placed.discard, *(new.etag for new, _ in placed.refused if new.size)])
    return result


def _small(c: Connection, live: LiveJob, now: int) -> list[tuple[str, str, bytes]] | None:
    """All files of an archive that is written at `now`: name, type, content. None if a list has more than a page."""
    files = []
    for name, content_type, statement, line in LISTS:
        rows = c.all(statement, job=live.id, after=0, limit=PAGE)
        if len(rows) == PAGE:
            return None
        files.append((name, content_type, _lines(rows, line)))
    return files + [(name, JSON_TYPE, body) for name, body in _documents(c, live, now, now)]


def _documents(c: Connection, live: LiveJob, started: int, done: int) -> list[tuple[str, bytes]]:
    """The documents of an archive that is begun and complete at these times."""
    row = c.one("job_by_id", job=live.id)
    assert row is not None
    said = status(c, row, {"archive_started": started, "archive_done": done})
    return [("usage.json", json.dumps(archived_usage(c, row)).encode()), ("job.json", json.dumps(said).encode())]


def _lines(rows: Iterable[Row], line: Callable[[str], str]) -> bytes:
    return "".join(f"{line(row['name'])}\n" for row in rows).encode()


def _described(live: LiveJob, name: str, content_type: str, body: bytes) -> NewObject:
    return _named(live, name, content_type, new_blob_id(), len(body), hashlib.md5(body, usedforsecurity=False).digest())


def _named(live: LiveJob, name: str, content_type: str, blob: str, size: int, md5: bytes) -> NewObject:
    path = f"{naming.job_directory(live.owner, live.uuid)}/{name}"
    return NewObject(path, blob, size, base64.b64encode(md5).decode(), content_type, headers=HEADERS)


async def _store_all(blobs: BlobStore, bodies: Iterable[tuple[str, bytes]]) -> None:
    """Write small blobs, all with one flush. Raises OSError; then the caller discards all of them."""
    stored = await asyncio.gather(*(blobs.store(*blob) for blob in bodies), return_exceptions=True)
    for failure in stored:
        if failure is not None:
            raise failure


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _pages(db: Database, live: LiveJob, statement: str, line: Callable[[str], str]) -> AsyncIterator[bytes]:
    """A list of a job as lines, a page at a time, made in a reader's thread."""

    def read(c: Connection) -> tuple[int, bytes] | None:
        rows = c.all(statement, job=live.id, after=after, limit=PAGE)
        return (rows[-1]["seq"], _lines(rows, line)) if rows else None

    after = 0
    while page := await db.read(read):
        after, lines = page
        yield lines


async def _written(
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
        blob = new_blob_id()
        if size:
            blobs.publish(fd, blob)
    finally:
        blobs.drop(fd)
    return _named(live, name, content_type, blob, size, digest.digest())


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


def _finish(
    c: Connection, objects: Sequence[NewObject], live: LiveJob, started: int, now: int
) -> tuple[Placed, Archived]:
    placed = namespace.put_objects(c, objects, now, make_parents=False)
    with contextlib.suppress(WireError):  # the user has removed it already, or keeps other objects there
        namespace.delete(c, f"{naming.job_directory(live.owner, live.uuid)}/live")
    row = c.one("job_by_id", job=live.id)
    if row is not None and row["archive_done"] is None:
        charge(c, row, now)
    c.run("archive_finished", job=live.id, started=started, now=now)
    return placed, Archived.of(row)
