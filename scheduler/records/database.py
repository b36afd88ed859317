"""What a database is to the rest of us, whichever engine keeps it.

See the package's theory for why writes are functions that share transactions. What all engines have in common is
here: the writer thread and its groups, savepoints, fences, and who is told of what. An engine adds connections:
`sqlite.py`, `engine.py`; `open_database` chooses.

Two ideas make many processes possible, and cost one nothing:

- *Announcements* are a transaction's last words. `Connection.announce("job 17")` inside of a work is heard by every
  listener of every process once that work is committed, and by nobody if it is not. They carry no facts: who hears
  one looks. "*" says that something may have been missed: look at everything.
- A *fence* is a work that runs before the works that stand `behind` it, in their transaction. Transactions come one
  after the other in the whole cluster, so a fence that holds, holds until the commit. If it raises, so do those works.
"""

from __future__ import annotations

import asyncio
import copy
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")
# One commit carries at most this many functions, so that the first of them does not wait for ever.
MAX_GROUP = 512
READERS = 2
MAX_SUBJECT = 1000


class DatabaseError(Exception):
    """Why a database cannot be used, as a sentence for its operator."""


class DatabaseFullError(DatabaseError):
    """There is no disk space left for what was to be recorded."""


class Fenced(Exception):  # noqa: N818 - the others took over: it is news, not an error
    """This process no longer owns what it wanted to write for: others do. For a fence to raise."""


class Row(Protocol):
    """A row of a result: by column name or by position."""

    def __getitem__(self, key: str | int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Sequence[str]: ...


class Connection(ABC):
    """Named statements on one database connection. Not shared between threads."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    @abstractmethod
    def run(self, name: str, /, **parameters: Any) -> int:
        """Execute a statement; the number of rows that it changed."""

    @abstractmethod
    def insert(self, name: str, /, **parameters: Any) -> int:
        """Execute an insert; the row id of the new row."""

    @abstractmethod
    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Execute a statement once for each of `rows`; the number of rows changed in all."""

    @abstractmethod
    def one(self, name: str, /, **parameters: Any) -> Row | None:
        """The first row of a query, or None."""

    @abstractmethod
    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query: only for queries that end in a LIMIT or are small by nature."""

    @abstractmethod
    def each(self, name: str, /, **parameters: Any) -> Iterator[Row]:
        """The rows of a query one at a time, however many."""

    @abstractmethod
    def plain(self, sql: str, /, **parameters: Any) -> list[Row]:
        """All rows of a statement without a name, in the SQL of the others: for tests."""

    @abstractmethod
    def now(self) -> int:
        """Milliseconds since the epoch, by the one clock that all processes share: the database's."""

    def announce(self, subject: str) -> None:
        """Tell every listener of every process about `subject` (short) once this work is committed."""
        assert len(subject) <= MAX_SUBJECT
        self.announced.append(subject)

    @abstractmethod
    def mark(self) -> None:
        """What follows can be undone on its own: a savepoint."""

    @abstractmethod
    def undo(self) -> None:
        """Back to the mark."""

    @abstractmethod
    def keep(self) -> None:
        """Forget the mark; what followed it shares the fate of the transaction."""

    def broken(self) -> bool:
        """The connection is gone, and with it the transaction: what an error said was not the work's doing."""
        return False


Work = Callable[[Connection], T]


def select(statement: str, /, **parameters: Any) -> Work[list[Row]]:
    """The work of running one query, for `Database.read`."""
    return lambda c: c.all(statement, **parameters)


def execute(statement: str, /, **parameters: Any) -> Work[int]:
    """The work of executing one statement, for `Database.write`."""
    return lambda c: c.run(statement, **parameters)


class Listeners:
    """Who wants to hear announcements, each on the event loop that it came from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[str], None]]] = {}

    def add(self, callback: Callable[[str], None]) -> Callable[[], None]:
        key = object()
        with self._lock:
            self._all[key] = asyncio.get_running_loop(), callback
        return lambda: self._remove(key)

    def tell(self, subjects: Iterable[str]) -> None:
        """From any thread."""
        with self._lock:
            listeners = list(self._all.items())
        for subject in subjects:
            for key, (loop, callback) in listeners:
                try:
                    loop.call_soon_threadsafe(callback, subject)
                except RuntimeError:  # its loop is closed
                    self._remove(key)

    def _remove(self, key: object) -> None:
        with self._lock:
            self._all.pop(key, None)


@dataclass(frozen=True, slots=True)
class Item:
    """A work that was handed in: who waits for it, and the fence that it stands behind."""

    work: Work[Any]
    future: Future[Any]
    fence: Work[object] | None


# What became of an item: its result, or what it raised.
Answer = tuple[Item, Any, BaseException | None]


class Database(ABC):
    """Owner of a writer thread and of reader threads. `close` waits for what was handed in.

    Opening brings an older schema forward. Raises DatabaseError if that cannot be, or the schema is newer than ours.
    """

    def __init__(self, where: str, listeners: Listeners) -> None:
        self.where = where  # for people: without a password
        self._listeners = listeners
        self._fence: Work[object] | None = None
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="records-read")
        self._writer = threading.Thread(target=self._write_loop, name="records-write", daemon=True)
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; when this returns, what it did is on disk.

        Raises what `work` raised, and then nothing of it has happened. `work` may be run again from its start when a
        connection breaks: it touches nothing but its Connection, and what it returns.
        """
        return await asyncio.wrap_future(self.write_soon(work))

    def write_soon(self, work: Work[T]) -> Future[T]:
        """As `write`, from any thread, without waiting."""
        future: Future[T] = Future()
        self._inbox.put(Item(work, future, self._fence))
        return future

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that sees the last commit and can change nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` on this event loop with each subject announced from now on; returns how to stop that."""
        return self._listeners.add(callback)

    def behind(self, fence: Work[object]) -> Self:
        """The same database, for one who may be overtaken: what is written through it holds only if `fence` does not
        raise at the start of its transaction."""
        view = copy.copy(self)
        view._fence = fence
        return view

    def close(self) -> None:
        self._inbox.put(None)
        self._writer.join()
        self._readers.shutdown()

    @property
    def directory(self) -> Path | None:
        """Where its files are, if they are on this machine."""
        return None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be read or written at the moment, as a sentence; all that is asked for waits."""
        return None

    @abstractmethod
    def _read(self, work: Work[T]) -> T:
        """Run `work` in a snapshot, in a reader's thread."""

    @abstractmethod
    def _commit(self, group: Sequence[Item]) -> list[Answer]:
        """Run `group` in one transaction (`perform`) and commit it, in the writer's thread; tell what was announced.

        Raises if nothing of it is durable.
        """

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the writer's connection, in its thread: nothing follows."""

    def _write_loop(self) -> None:
        more = True
        while more:
            group, more = self._gather()
            group = [item for item in group if item.future.set_running_or_notify_cancel()]
            if group:
                self._run_group(group)
        self._disconnect()

    def _gather(self) -> tuple[list[Item], bool]:
        """The works that wait, after waiting for the first; whether more may come."""
        group: list[Item] = []
        while not group or (len(group) < MAX_GROUP and not self._inbox.empty()):
            item = self._inbox.get()
            if item is None:
                return group, False
            group.append(item)
        return group, True

    def _run_group(self, group: Sequence[Item]) -> None:
        """One transaction for all; answers are given only after the commit."""
        try:
            answers = self._commit(group)
        except BaseException as error:
            # Disk full, I/O error: nobody's work is durable, so everybody hears of it.
            answers = [(item, None, error) for item in group]
        for item, result, failure in answers:
            if failure is None:
                item.future.set_result(result)
            else:
                item.future.set_exception(failure)


def perform(connection: Connection, group: Sequence[Item]) -> list[Answer]:
    """Run a group's works, each behind its fence and in a savepoint of its own, in the transaction that is open.

    Raises if the transaction is lost.
    """
    connection.announced.clear()
    fences: dict[Work[object], BaseException | None] = {}
    answers: list[Answer] = []
    for item in group:
        fence = item.fence
        if fence is not None and fence not in fences:
            fences[fence] = _attempt(connection, fence)[1]
        if fence is not None and (failure := fences[fence]) is not None:
            answers.append((item, None, failure))
        else:
            answers.append((item, *_attempt(connection, item.work)))
    return answers


def _attempt(connection: Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    """What `work` returned, or what it raised and that it changed nothing."""
    said = len(connection.announced)
    connection.mark()
    try:
        result = work(connection)
    except Exception as error:
        if connection.broken():
            raise
        connection.undo()
        del connection.announced[said:]
        return None, error
    connection.keep()
    return result, None


def open_database(where: str | Path, ballast: bool = False) -> Database:
    """The database at `where`: the path of an SQLite file, or a URL `postgresql://…`. Raises DatabaseError.

    `ballast`: a file keeps disk space back for it.
    """
    if isinstance(where, str) and where.startswith(("postgresql:", "postgres:")):
        from scheduler.records.postgres.engine import PostgresDatabase

        return PostgresDatabase(where)
    from scheduler.records.ballast import Ballast
    from scheduler.records.sqlite import SqliteDatabase

    return SqliteDatabase(Path(where), Ballast(Path(where)) if ballast else None)
