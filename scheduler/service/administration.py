"""Administration: changes of accounts and keys from outside of the service.

The database is the state, and a running service reads it for every request. So a change
is one transaction: it needs no running service and notifies none.
Access is controlled by the file system, because the state directory is its owner's alone; on a cluster
a process may make changes if it can connect to the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from scheduler.objects.blobs import BlobStore
from scheduler.records.accounts import AccountError
from scheduler.records.database import Connection, Database, DatabaseError, open_database
from scheduler.service.state import DATABASE, OBJECTS, StateError, require_own
from scheduler.supervisor.control.cancelling import cancel_named
from scheduler.supervisor.jobs.intake import JobRef

T = TypeVar("T")


def settle_jobs(c: Connection, login: str, end: bool, key: str | None = None) -> tuple[int, int]:
    """Cancel or keep an account's jobs; returns how many were cancelled and how many continue.

    With `end`, the jobs are cancelled that this key created, or may have created; without a key all are. The supervisor
    that owns them is notified, or notices within seconds.
    """
    live = c.all("live_jobs_of_owner", owner=login, key=None)
    concerned = c.all("live_jobs_of_owner", owner=login, key=key) if end else []
    now = c.now()
    for row in concerned:
        cancel_named(c, JobRef(row["id"], row["uuid"]), now)
    return len(concerned), len(live) - len(concerned)


def change(where: Path | str, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction, whose changes are in force at once. Raises StateError.

    `where` is a state directory, or the URL of a database.
    """
    with _records(where) as records:
        return asyncio.run(records.write(work))


def look(where: Path | str, work: Callable[[Connection], T]) -> T:
    """Run `work`, which changes nothing. Raises StateError."""
    with _records(where) as records:
        return asyncio.run(records.read(work))


def with_store(
    where: Path | str, objects: Path | None, use: Callable[[Database, BlobStore], Coroutine[Any, Any, T]]
) -> T:
    """Run `use` on records and objects, which a service may use meanwhile. Raises StateError.

    `where` is as for `change`; `objects` is the directory of objects, if it is not in that state directory.
    """
    directory = where / OBJECTS if objects is None and isinstance(where, Path) else objects
    if directory is None:
        raise StateError("where are the objects? Say --objects DIR, the directory that all nodes mount")
    with _records(where) as records:
        if not directory.is_dir():
            raise StateError(f"there is no directory {directory}: is it mounted?")
        blobs = BlobStore(directory)
        try:
            return asyncio.run(use(records, blobs))
        finally:
            blobs.close()


@contextmanager
def _records(where: Path | str) -> Iterator[Database]:
    path = where / DATABASE if isinstance(where, Path) else where
    if isinstance(where, Path):
        require_own(where)
    try:
        if isinstance(path, Path) and not path.exists():
            raise StateError(f"no service has its state in {where}: `remora up --state-dir {where}` makes one")
        records = open_database(path, migrate=False)
        try:
            yield records
        finally:
            records.close()
    except (AccountError, DatabaseError) as error:
        raise StateError(str(error)) from None
    except PermissionError as error:
        raise StateError(f"cannot use {path}: {error.strerror}") from None
