"""The embedded database: one SQLite file, one writer thread, a few readers.

See the package's theory for why writes are functions that share transactions.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from scheduler.records import queries

T = TypeVar("T")
Row = sqlite3.Row
# One commit carries at most this many functions, so that the first of them does not wait for ever.
MAX_GROUP = 512
READERS = 2
# KiB of pages that a connection keeps. The writer comes back to the same few; what readers want is in the page cache.
WRITER_CACHE = 16384
READER_CACHE = 2048


class Connection:
    """Named statements on one database connection. Not shared between threads."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self._statements = queries.load()

    def run(self, name: str, /, **parameters: Any) -> int:
        """Execute a statement; the number of rows that it changed."""
        return self.raw.execute(self._statements[name], parameters).rowcount

    def insert(self, name: str, /, **parameters: Any) -> int:
        """Execute an insert; the row id of the new row."""
        row_id = self.raw.execute(self._statements[name], parameters).lastrowid
        assert row_id is not None
        return row_id

    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Execute a statement once for each of `rows`; the number of rows changed in all."""
        return self.raw.executemany(self._statements[name], rows).rowcount

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        """The first row of a query, or None."""
        row: Row | None = self.raw.execute(self._statements[name], parameters).fetchone()
        return row

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query: only for queries that end in a LIMIT or are small by nature."""
        return self.raw.execute(self._statements[name], parameters).fetchall()

    def each(self, name: str, /, **parameters: Any) -> Iterator[Row]:
        """The rows of a query one at a time, however many."""
        yield from self.raw.execute(self._statements[name], parameters)


Work = Callable[[Connection], T]


def select(statement: str, /, **parameters: Any) -> Work[list[Row]]:
    """The work of running one query, for `Database.read`."""
    return lambda c: c.all(statement, **parameters)


def execute(statement: str, /, **parameters: Any) -> Work[int]:
    """The work of executing one statement, for `Database.write`."""
    return lambda c: c.run(statement, **parameters)


class Database:
    """Owner of the SQLite file. `close` waits for what was handed in.

    Opening it brings an older schema forward. Raises sqlite3.Error if that cannot be, or the schema is newer than ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inbox: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._migrate()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="records-read")
        self._writer = threading.Thread(target=self._write_loop, name="records-write", daemon=True)
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; when this returns, what it did is on disk.

        Raises what `work` raised, and then nothing of it has happened.
        """
        return await asyncio.wrap_future(self.write_soon(work))

    def write_soon(self, work: Work[T]) -> Future[T]:
        """As `write`, from any thread, without waiting."""
        future: Future[T] = Future()
        self._inbox.put((work, future))
        return future

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that sees the last commit and can change nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        self._inbox.put(None)
        self._writer.join()
        self._readers.shutdown()

    def _connect(self, read_only: bool = False) -> Connection:
        raw = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        raw.row_factory = sqlite3.Row
        raw.execute("PRAGMA busy_timeout = 10000")
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns
        raw.execute(f"PRAGMA cache_size = -{READER_CACHE if read_only else WRITER_CACHE}")
        raw.execute("PRAGMA temp_store = MEMORY")
        if read_only:
            raw.execute("PRAGMA query_only = ON")
        return Connection(raw)

    def _migrate(self) -> None:
        self.path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
        connection = self._connect()
        applied = connection.raw.execute("PRAGMA user_version").fetchone()[0]
        known = queries.migrations()
        try:
            if applied > known[-1][0]:
                raise sqlite3.DatabaseError("it was written by a newer version of Remora: use that one")
            for number, script in known[applied:]:
                connection.raw.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        finally:
            connection.raw.close()

    def _read(self, work: Work[T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(read_only=True)
        connection.raw.execute("BEGIN")  # one snapshot for all that `work` looks at
        try:
            return work(connection)
        finally:
            connection.raw.execute("ROLLBACK")

    def _write_loop(self) -> None:
        connection = self._connect()
        while (first := self._inbox.get()) is not None:
            group = [first]
            stop = False
            while len(group) < MAX_GROUP and not self._inbox.empty():
                item = self._inbox.get()
                if item is None:
                    stop = True
                    break
                group.append(item)
            self._run_group(connection, group)
            if stop:
                break
        connection.raw.close()

    def _run_group(self, connection: Connection, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        """One transaction for all; answers are given only after the commit."""
        answers: list[tuple[Future[Any], Any]] = []
        try:
            connection.raw.execute("BEGIN IMMEDIATE")
            for work, future in group:
                if future.set_running_or_notify_cancel():
                    self._run_one(connection, work, future, answers)
            connection.raw.execute("COMMIT")
        except BaseException as error:
            # Disk full, I/O error: nobody's work is durable, so everybody hears of it.
            if connection.raw.in_transaction:
                connection.raw.execute("ROLLBACK")
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in answers:
            future.set_result(result)

    @staticmethod
    def _run_one(
        connection: Connection, work: Work[Any], future: Future[Any], answers: list[tuple[Future[Any], Any]]
    ) -> None:
        connection.raw.execute("SAVEPOINT work")
        try:
            result = work(connection)
        except Exception as error:
            connection.raw.execute("ROLLBACK TO work")
            future.set_exception(error)
        else:
            answers.append((future, result))
        connection.raw.execute("RELEASE work")
