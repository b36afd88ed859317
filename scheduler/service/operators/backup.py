"""Backup of a service while it runs, and its restoration elsewhere.

A backup is a directory with the same files as a state directory: records, objects, secrets and keys. Records on a
PostgreSQL server are a dump there. Objects are immutable and named by their ids, so a second backup into the same
directory copies only what is new.

Order makes it consistent. First all blobs that are there are copied; then the records are copied in one snapshot; then
the blobs that this snapshot needs and the first pass did not see. A blob that was deleted after the snapshot may be
gone by then. If so, a new snapshot is taken, which does not need it. So every object that was acknowledged before the
backup began, and not deleted before its end, is in it, and no name in it is without its bytes. The records get their
name last: a backup that is interrupted leaves the one before as it was.

Example: a PUT is acknowledged during the first pass, after its shard was copied. The snapshot has it, the second pass
copies it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from datapath import spool
from scheduler.common.private_directory import NotPrivateError, open_private
from scheduler.objects.blobs import SHARDS, BlobStore, copy_file
from scheduler.objects.sweep import remove_unknown
from scheduler.objects.verification import PAGE, Reference, reference
from scheduler.records.database import Connection, Database, DatabaseError, open_database
from scheduler.records.sqlite import SqliteConnection
from scheduler.records.sqlite_library import sqlite3
from scheduler.service.operators import verify as verification
from scheduler.service.operators.verify import Summary
from scheduler.service.state import DATABASE, OBJECTS, StateError, require_own

DUMP = "remora.dump"  # records of a server
SECRETS = ("token.secret", "agent.secret")
KEYS = "keys"
DONE = "backup.json"
TRIES = 5
MODE = 0o444
Progress = Callable[[str], None]


@dataclass(slots=True)
class Copied:
    """What a backup has, and how much of it was copied this time; `removed`: blobs that only an older backup needed."""

    objects: int = 0
    blobs: int = 0
    bytes: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: a state directory, or objects whose records are on a server. `state` has secrets and keys."""

    state: Path | None
    objects: Path
    database: str | None = None  # URL; None: a file in the state directory

    @property
    def records(self) -> str:
        """The name of the records in a backup."""
        return DATABASE if self.database is None else DUMP

    @contextmanager
    def snapshot(self, target: Path) -> Iterator[Connection]:
        """Copy the records, and read the copy for the length of the block. Raises StateError."""
        if self.database is not None:
            from scheduler.records.postgres.dump import dumped  # which takes an optional package

            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with said_plainly(), dumped(self.database, target) as c:
                yield c
            return
        assert self.state is not None
        database = quote(str(self.state / DATABASE))
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as raw:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(target)) as copy:
                raw.backup(copy)
        # no process changes it: it is read without the files that SQLite keeps beside others
        with closing(sqlite3.connect(f"file:{quote(str(target))}?mode=ro&immutable=1", uri=True)) as raw:
            yield SqliteConnection(raw)


@contextmanager
def said_plainly() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise StateError(str(error)) from None


def source_of(state: Path, database: str | None, objects: Path | None) -> Source:
    """What there is to back up: the state directory's own records, else those on a server. Raises StateError."""
    if (state / DATABASE).exists():
        require_own(state)
        return Source(state, state / OBJECTS)
    if database is None:
        raise StateError(f"there is no {state / DATABASE}: of records on a server say --database URL")
    own = objects is None and (state / OBJECTS).is_dir()
    if own:
        require_own(state)
    directory = state / OBJECTS if own else objects
    if directory is None or not directory.is_dir():
        raise StateError(f"there is no directory {directory or state / OBJECTS}: where are the objects (--objects)?")
    return Source(state if own else None, directory, database)


def back_up(source: Source, target: Path, progress: Progress) -> Copied:
    """Copy a service's state, whether it runs or not. Raises StateError."""
    for place in (source.state, source.objects):
        if place is not None and (target.resolve() == place.resolve() or place.resolve() in target.resolve().parents):
            raise StateError(f"{target} is in {place} itself: a backup belongs on another disk")
    known = {source.records, OBJECTS, DONE, KEYS, *SECRETS, f"{source.records}.new"}
    if target.exists() and (strange := {each.name for each in target.iterdir()} - known):
        raise StateError(f"{target} is no backup of such a service: it has {min(strange)}")
    with _private(target) as directory:
        objects, kept = BlobStore(source.objects), BlobStore(target / OBJECTS)
        try:
            copied = Copied()
            for number, shard in enumerate(sorted(SHARDS)):
                progress(f"objects: {number * 100 // len(SHARDS)} %, {copied.blobs} copied")
                _copy_blobs(objects, kept, (blob for blob, _ in objects.in_shard(shard)), copied)
            for _ in range(TRIES):
                progress("records")
                new = target / f"{source.records}.new"
                new.unlink(missing_ok=True)
                with source.snapshot(new) as c:
                    if _complete(c, objects, kept, copied):
                        _finish(source, target, directory, new, copied)
                        copied.removed = remove_unknown(c, kept, 1 << 50)
                        return copied
        finally:
            objects.close()
            kept.close()
    raise StateError("objects are missing: they are deleted faster than copied, or lost (see remora verify)")


def _complete(c: Connection, source: BlobStore, kept: BlobStore, copied: Copied) -> bool:
    """Copy what the first pass did not see of the blobs that records need, page by page; whether all are there."""
    missing = copied.objects = 0
    after = ""
    while page := _page(c, after):
        copied.objects += len(page)
        missing += _copy_blobs(source, kept, (one.blob for one in page), copied)
        after = page[-1].blob
    return not missing


def _finish(source: Source, target: Path, directory: int, new: Path, copied: Copied) -> None:
    """Give the records their name, once all else is on disk."""
    if source.state is not None:
        for name in SECRETS:
            _copy_small(source.state / name, target / name)
        _copy_keys(source.state / KEYS, target / KEYS)
    spool.syncfs(directory)
    os.replace(new, target / source.records)
    _write(target / DONE, json.dumps(asdict(copied)) + "\n")
    spool.syncfs(directory)


def _page(c: Connection, after: str) -> list[Reference]:
    return [reference(row) for row in c.all("references_page", after=after, upto="~", limit=PAGE)]


def _copy_blobs(source: BlobStore, kept: BlobStore, blobs: Iterator[str], copied: Copied) -> int:
    """Copy blobs that are not there yet; returns how many are gone."""
    gone = 0
    for blob in blobs:
        try:
            size = source.status(blob).st_size
            with suppress(FileNotFoundError):
                if kept.status(blob).st_size == size:
                    continue
                kept.discard([blob])  # of a backup that was interrupted on a file system without nameless files
            _copy_blob(source, kept, blob, size)
        except FileNotFoundError:
            gone += 1
        else:
            copied.blobs += 1
            copied.bytes += size
    return gone


def _copy_blob(source: BlobStore, kept: BlobStore, blob: str, size: int) -> None:
    fd, copy = source.open_in_thread(blob), kept.create()
    try:
        copy_file(fd, copy, size)
        os.fchmod(copy, MODE)
        kept.publish(copy, blob)
    finally:
        os.close(fd)
        kept.drop(copy)


def restore(source: Path, state: Path, database: str | None, progress: Progress) -> Summary:
    """Make a state directory of a backup, and verify it. `database`: where those of a server go. Raises StateError."""
    dump = source / DUMP
    if not ((source / DATABASE).is_file() or dump.is_file()) or not (source / DONE).is_file():
        raise StateError(f"{source} is no complete backup: remora backup makes one")
    if dump.is_file() and database is None:
        raise StateError(f"the records of {source} are of a server: say --database URL, of an empty one")
    if state.exists() and any(state.iterdir()):
        raise StateError(f"{state} is not empty: a backup is restored into a new state directory")
    with _private(state) as directory:
        try:
            _restore(source, state, progress)
            if dump.is_file():
                assert database is not None
                from scheduler.records.postgres.dump import load

                progress("records")
                with said_plainly():
                    load(database, dump)
        except BaseException:
            for made in state.iterdir():  # so that it can be tried again
                shutil.rmtree(made) if made.is_dir() else made.unlink()
            raise
        spool.syncfs(directory)
        return check(state, database if dump.is_file() else None, progress)


def _restore(source: Path, state: Path, progress: Progress) -> None:
    saved, blobs = BlobStore(source / OBJECTS), BlobStore(state / OBJECTS)
    try:
        copied = Copied()
        for number, shard in enumerate(sorted(SHARDS)):
            progress(f"objects: {number * 100 // len(SHARDS)} %")
            _copy_blobs(saved, blobs, (blob for blob, _ in saved.in_shard(shard)), copied)
    finally:
        saved.close()
        blobs.close()
    for name in (DATABASE, *SECRETS):
        _copy_small(source / name, state / name)
    _copy_keys(source / KEYS, state / KEYS)


def check(state: Path, database: str | None, progress: Progress) -> Summary:
    """Verify a state directory, with its records there or on a server; its summary."""
    summary = Summary()
    blobs = BlobStore(state / OBJECTS)
    records = open_database(database or state / DATABASE)

    async def look(db: Database) -> None:
        async for finding in verification.verify(db, blobs, summary, grace_ms=0, progress=progress):
            summary.findings += 1
            summary.by_rule[finding.rule] = summary.by_rule.get(finding.rule, 0) + 1

    try:
        asyncio.run(look(records))
    finally:
        records.close()
        blobs.close()
    return summary


@contextmanager
def _private(path: Path) -> Iterator[int]:
    """A directory that only this user can read, made if need be; gives a descriptor of it. Raises StateError."""
    try:
        directory = open_private(path)
    except NotPrivateError as error:
        raise StateError(str(error)) from None
    except OSError as error:
        raise StateError(f"cannot use {path}: {error.strerror}") from None
    try:
        yield directory
    finally:
        os.close(directory)


def _copy_keys(source: Path, target: Path) -> None:
    """Copy the key pairs that the service made for its first account."""
    if source.is_dir():
        target.mkdir(mode=0o700, exist_ok=True)
        for each in source.iterdir():
            if stat.S_ISREG(each.lstat().st_mode):
                _copy_small(each, target / each.name)


def _copy_small(source: Path, target: Path) -> None:
    """Copy a file that only its owner may read, if it is there."""
    with suppress(FileNotFoundError), open(source, "rb") as file:
        temporary = target.with_name(f".{target.name}.new")
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as copy:
            shutil.copyfileobj(file, copy)
        os.replace(temporary, target)


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
