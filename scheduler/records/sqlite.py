"""SQLite as the engine of the records: one file, one writer thread, a few readers.

A group of works that need not last is committed without a flush. The log is one file, so the next flush is for it, too;
and what a power failure takes away, it takes together with the process that relied on it.

Announcements stay in the process: every `Database` object that has the file open in it hears those of the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from scheduler.common.disk_reserve import space_at
from scheduler.records import queries, schema
from scheduler.records.ballast import Ballast
from scheduler.records.database import (
    Answer,
    Connection,
    Database,
    DatabaseError,
    DatabaseFullError,
    Item,
    Row,
    T,
    Work,
    perform,
)
from scheduler.records.listeners import Listeners
from scheduler.records.sqlite_library import sqlite3

# KiB of pages that a connection caches. The writer needs the same few pages again; readers' are in the page cache.
WRITER_CACHE = 16384
READER_CACHE = 2048
# The part of an extended result code that names the kind of error.
PRIMARY = 0xFF


class SqliteConnection(Connection):
    """A connection to SQLite. See Connection."""

    raw: sqlite3.Connection

    def __init__(self, raw: sqlite3.Connection) -> None:
        super().__init__()
        self.raw = raw
        raw.row_factory = sqlite3.Row
        self._statements = queries.load()
        self._asked: dict[tuple[Any, ...], list[Row]] = {}

    def ahead(self, name: str, /, **parameters: Any) -> None:
        found = self.raw.execute(self._statements[name], parameters).fetchall()
        self._asked[name, *parameters.values()] = found

    def _answered(self, name: str, parameters: Mapping[str, Any]) -> list[Row] | None:
        """What was asked ahead, the first time."""
        return self._asked.pop((name, *parameters.values()), None)

    def along(self, name: str, /, **parameters: Any) -> list[Row]:
        return self.all(name, **parameters)

    def run(self, name: str, /, **parameters: Any) -> int:
        return self.raw.execute(self._statements[name], parameters).rowcount

    def insert(self, name: str, /, **parameters: Any) -> int:
        row_id = self.raw.execute(self._statements[name], parameters).lastrowid
        assert row_id is not None
        return row_id

    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        statement, values = positional(self._statements[name])
        self.raw.executemany(statement, map(values, rows))

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        if self._asked and (answer := self._answered(name, parameters)) is not None:
            return answer[0] if answer else None
        row: Row | None = self.raw.execute(self._statements[name], parameters).fetchone()
        return row

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        if self._asked and (answer := self._answered(name, parameters)) is not None:
            return answer
        return self.raw.execute(self._statements[name], parameters).fetchall()

    def each(self, name: str, /, **parameters: Any) -> Iterator[Row]:
        yield from self.raw.execute(self._statements[name], parameters)

    def plain(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self.raw.execute(sql, parameters).fetchall()

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def mark(self) -> None:
        self.raw.execute("SAVEPOINT work")

    def undo(self) -> None:
        self._asked.clear()
        self.raw.execute("ROLLBACK TO work")
        self.raw.execute("RELEASE work")

    def keep(self) -> None:
        self._asked.clear()
        self.raw.execute("RELEASE work")

    def broken(self) -> bool:
        return not self.raw.in_transaction  # SQLite itself has rolled it back, for instance because the disk is full


@cache
def positional(statement: str) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
    """A statement with numbered parameters, and the function that takes their values from a row.

    For rows by the hundred: a name is looked up anew for each row, which takes as long as to bind the value.
    """
    text, names = queries.numbered(statement, "?")
    return text, itemgetter(*names) if len(names) > 1 else lambda row: [row[name] for name in names]


class SqliteDatabase(Database):
    """The owner of the SQLite file. See Database."""

    _buses: ClassVar[WeakValueDictionary[Path, Listeners]] = WeakValueDictionary()

    def __init__(self, path: Path, ballast: Ballast | None = None, migrate: bool = True) -> None:
        self.path = path
        self._ballast = ballast
        self._local = threading.local()
        self._flushes = True  # whether the writer's commits are on disk when they return
        try:
            self._with_ballast(lambda: self._bring_forward(migrate))
            self._connection = self._with_ballast(self._connect)
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot use {path}: {error}") from None
        super().__init__(str(path), self._buses.setdefault(path.resolve(), Listeners()))

    @property
    def directory(self) -> Path:
        return self.path.parent

    def _connect(self, read_only: bool = False) -> SqliteConnection:
        raw = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        raw.execute("PRAGMA busy_timeout = 10000")
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns: see `_flush_commits`
        raw.execute(f"PRAGMA cache_size = -{READER_CACHE if read_only else WRITER_CACHE}")
        if read_only:  # large sorts of readers, as of `invariants`, spill into temporary files
            raw.execute("PRAGMA query_only = ON")
        else:
            raw.execute("PRAGMA temp_store = MEMORY")
        return SqliteConnection(raw)

    def _bring_forward(self, migrate: bool) -> None:
        """Migrate the schema to the present version, if the program may. Raises DatabaseError, sqlite3.Error."""
        if migrate:
            self.path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
        elif not self.path.exists():
            raise DatabaseError(f"cannot use {self.path}: {schema.why_not(0, migrate)}")
        connection = self._connect()
        try:
            version = connection.raw.execute("PRAGMA user_version").fetchone()[0]
            if why := schema.why_not(version, migrate):
                raise DatabaseError(f"cannot use {self.path}: {why}")
            for number, script in schema.scripts(after=version):
                connection.raw.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        finally:
            connection.raw.close()

    async def look_up(self, work: Work[T]) -> T:
        return work(self._reader())  # one statement is a snapshot of its own

    def _reader(self) -> SqliteConnection:
        """This thread's connection for reading."""
        connection: SqliteConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(read_only=True)
        return connection

    def _read(self, work: Work[T]) -> T:
        connection = self._reader()
        connection.raw.execute("BEGIN")  # one snapshot for all that `work` reads
        try:
            return work(connection)
        finally:
            connection.raw.execute("ROLLBACK")

    def _commit(self, group: Sequence[Item]) -> list[Answer]:
        try:
            answers = self._with_ballast(lambda: self._transact(group))
        except BaseException as error:
            kind = DatabaseFullError if self._is_full(error) else DatabaseError
            raise kind(f"cannot write to {self.where}: {error}") from error
        self._listeners.tell(dict.fromkeys(self._connection.announced))
        return answers

    def _transact(self, group: Sequence[Item]) -> list[Answer]:
        connection = self._connection
        self._flush_commits(any(item.lasting for item in group))
        try:
            connection.raw.execute("BEGIN IMMEDIATE")
            answers = perform(connection, group)
            full = next((failure for _, _, failure in answers if failure is not None and self._is_full(failure)), None)
            if full is not None:  # not this work's fault, so no other work counts either
                raise full
            connection.raw.execute("COMMIT")
        except BaseException:
            if connection.raw.in_transaction:
                connection.raw.execute("ROLLBACK")
            raise
        return answers

    def _flush_commits(self, wanted: bool) -> None:
        """Have the writer's commits flushed from now on, or not."""
        if wanted != self._flushes:
            self._connection.raw.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._flushes = wanted

    def _with_ballast(self, action: Callable[[], T]) -> T:
        """The result of `action`. If the disk is full, the ballast is released, and `action` is tried once more."""
        try:
            result = action()
        except sqlite3.Error as error:
            if self._ballast is None or not self._is_full(error) or not self._ballast.give_up():
                raise
            return action()
        if self._ballast is not None:
            self._ballast.restore()
        return result

    def _is_full(self, error: BaseException) -> bool:
        """Whether an error means that the disk is full.

        SQLite reports an I/O error, too, where its shared memory grows.
        """
        code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
        return code == sqlite3.SQLITE_FULL or (
            code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and space_at(self.path.parent).full
        )

    def _disconnect(self) -> None:
        self._connection.raw.close()
