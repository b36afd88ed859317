"""The database as its callers see it, with either engine.

The package's theory says why writes are functions that share transactions. This module has what all engines have in
common: the writer thread and its groups, savepoints, fences, and the delivery of announcements. An engine adds
connections: `sqlite.py`, `postgres/engine.py`; `open_database` chooses.

Works are done for accounts (`Database.of`), and those of one account do not hold up another's: see `turns`.

Two ideas make many processes possible, and cost a single process nothing:

- *Announcements* are sent with a commit. `Connection.announce("job 17")` inside of a work reaches every listener of
  every process once that work is committed, and none if it is not. They carry no facts: a listener reads the
  database. "*" says that announcements may have been missed: every listener reads all that it depends on.
- A *fence* (fencing token) is a query that is asked before the works that stand `behind` it, in their transaction.
  Transactions run one after the other in the whole cluster, so a fence that holds at the start holds until the
  commit. If it has fallen, those works fail, and change nothing.

Where the database is far away every answer that is waited for costs a round trip, so a query whose turn is certain to
come is asked `ahead`: together with the statement before it; and one whose answer its work does not need, `along` with
the commit. A fence is asked ahead, too: its answer comes with that of the first statement behind it, and what ran
meanwhile behind a fallen fence is undone.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from scheduler.records.fences import Fence, Fenced
from scheduler.records.listeners import Listeners
from scheduler.records.turns import NO_ACCOUNTS, Accounts, WriterTurns

log = logging.getLogger("remora.records")

T = TypeVar("T")
# One commit carries at most this many functions, so that the first of them does not wait for ever.
MAX_GROUP = 512
READERS = 2
MAX_SUBJECT = 1000


class DatabaseError(Exception):
    """The reason why a database cannot be used, as a sentence for its operator."""


class DatabaseFullError(DatabaseError):
    """The disk has no space left for a write."""


class Row(Protocol):
    """A row of a result: by column name or by position."""

    def __getitem__(self, key: str | int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Sequence[str]: ...


class Connection(ABC):
    """Named statements on one database connection. Threads must not share it."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    @abstractmethod
    def ahead(self, name: str, /, **parameters: Any) -> None:
        """Ask a query that `one` or `all` ask later in this work with the same parameters, and they get its answer.

        The work changes nothing meanwhile that the query reads.
        """

    @abstractmethod
    def along(self, name: str, /, **parameters: Any) -> list[Row]:
        """Ask a query that cannot fail along with the commit: the list has its rows once this work is committed."""

    @abstractmethod
    def run(self, name: str, /, **parameters: Any) -> int:
        """Execute a statement; returns the number of rows that it changed."""

    @abstractmethod
    def insert(self, name: str, /, **parameters: Any) -> int:
        """Execute an insert; returns the row id of the new row."""

    @abstractmethod
    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute a statement once for each of `rows`. What fails may raise its error only at the next statement."""

    def change(self, name: str, /, **parameters: Any) -> None:
        """Execute a statement as `many` does: the number of rows that it changes is of no interest."""
        self.many(name, [parameters])

    @abstractmethod
    def one(self, name: str, /, **parameters: Any) -> Row | None:
        """The first row of a query, or None."""

    @abstractmethod
    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query that ends in a LIMIT or has few rows by nature."""

    @abstractmethod
    def each(self, name: str, /, **parameters: Any) -> Iterator[Row]:
        """The rows of a query one at a time, for any number of them."""

    @abstractmethod
    def plain(self, sql: str, /, **parameters: Any) -> list[Row]:
        """All rows of a statement without a name, in the SQL of `sql/`: for tests."""

    @abstractmethod
    def now(self) -> int:
        """Milliseconds since the epoch, by the one clock that all processes share: the database's."""

    def announce(self, subject: str) -> None:
        """Tell every listener of every process about `subject` (short) once this work is committed."""
        assert len(subject) <= MAX_SUBJECT
        self.announced.append(subject)

    @abstractmethod
    def mark(self) -> None:
        """Set a savepoint: what follows can be undone on its own."""

    @abstractmethod
    def undo(self) -> None:
        """Return to the savepoint."""

    @abstractmethod
    def keep(self) -> None:
        """Release the savepoint; what followed it is committed or lost with the transaction.

        Raises what a statement raised that nothing has waited for.
        """

    def broken(self) -> bool:
        """Whether the connection is lost, and its transaction with it: then an error was not caused by the work."""
        return False


Work = Callable[[Connection], T]


def select(statement: str, /, **parameters: Any) -> Work[list[Row]]:
    """A work that runs one query, for `Database.read`."""
    return lambda c: c.all(statement, **parameters)


def execute(statement: str, /, **parameters: Any) -> Work[int]:
    """A work that executes one statement, for `Database.write`."""
    return lambda c: c.run(statement, **parameters)


@dataclass(frozen=True, slots=True)
class Item:
    """A work that was handed in, with the future of its caller, the fence that it stands behind, and for its turn."""

    work: Work[Any]
    future: Future[Any]
    fence: Fence | None
    bulk: bool = False
    lasting: bool = True
    accounts: Accounts = NO_ACCOUNTS


# The outcome of an item: its result, or what it raised.
Answer = tuple[Item, Any, BaseException | None]


class Database(ABC):
    """The owner of a writer thread and of reader threads. `close` waits for the works that were handed in.

    Opening migrates an older schema, or refuses it (`schema`). Raises DatabaseError.
    """

    def __init__(self, where: str, listeners: Listeners) -> None:
        self.where = where  # for messages: without a password
        self._listeners = listeners
        self._fence: Fence | None = None
        self._accounts: Accounts = NO_ACCOUNTS
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="records-read")
        self._writer = threading.Thread(target=self._write_loop, name="records-write", daemon=True)
        self._writer.start()

    async def write(self, work: Work[T], *, bulk: bool = False, lasting: bool = True) -> T:
        """Run `work` in a transaction; when this returns, its changes are on disk. `bulk`: it concerns `MANY` rows.

        Not `lasting`: they may be lost if this process ends with the machine, so no one may have been promised them.
        Later changes that are on disk include them.

        Raises what `work` raised, and then none of its changes are made. `work` may be run again from its start when a
        connection breaks: it touches nothing but its Connection, and what it returns.
        """
        return await asyncio.wrap_future(self.write_soon(work, bulk=bulk, lasting=lasting))

    def write_soon(self, work: Work[T], *, bulk: bool = False, lasting: bool = True) -> Future[T]:
        """Run `work` as `write` does, without waiting. May be called from any thread."""
        future: Future[T] = Future()
        self._inbox.put(Item(work, future, self._fence, bulk, lasting, self._accounts))
        return future

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that sees the last commit and can change nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def look_up(self, work: Work[T]) -> T:
        """Run `work`, one statement that reads a row or two of a small table by their key, as `read` does.

        Where the records are a file on this machine it runs at once: to hand it to a thread takes longer.
        """
        return await self.read(work)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` on this event loop with each new subject. Returns a function that ends this."""
        return self._listeners.add(callback)

    def tell(self, subject: str, but: Callable[[str], None]) -> None:
        """Tell the listeners of this process, `but` one, what another process has announced."""
        self._listeners.tell([subject], but)

    def behind(self, fence: Fence) -> Self:
        """The same database for a process that another may take over from.

        Each write through it counts only if the fence stands at the start of its transaction.
        """
        view = copy.copy(self)
        view._fence = fence
        return view

    def of(self, *accounts: str) -> Self:
        """The same database for works that are done for these accounts, and wait for their turn as such."""
        view = copy.copy(self)
        view._accounts = frozenset(accounts)
        return view

    def close(self) -> None:
        self._inbox.put(None)
        self._writer.join()
        self._readers.shutdown()

    @property
    def directory(self) -> Path | None:
        """The directory of its files, if they are on this machine."""
        return None

    @property
    def trouble(self) -> str | None:
        """The reason why nothing can be read or written at the moment, as a sentence; meanwhile all requests wait."""
        return None

    @abstractmethod
    def _read(self, work: Work[T]) -> T:
        """Run `work` in a snapshot, in a reader's thread."""

    @abstractmethod
    def _commit(self, group: Sequence[Item]) -> list[Answer]:
        """Run `group` in one transaction (`perform`), commit it, and send its announcements, in the writer's thread.

        Raises if nothing of it is durable.
        """

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the writer's connection, in its thread; no work follows."""

    def _write_loop(self) -> None:
        turns: WriterTurns[Item] = WriterTurns()
        try:
            while self._wait_for_turn(turns):
                self._run_group(turns, turns.take(time.monotonic(), MAX_GROUP))
            while rest := turns.take_any(MAX_GROUP):
                self._run_group(turns, rest)
        except BaseException as error:
            log.critical("nothing is written any more: the service must be started again", exc_info=True)
            self._refuse_all(turns, error)
        self._disconnect()

    def _refuse_all(self, turns: WriterTurns[Item], error: BaseException) -> None:
        """Fail all works that wait and that come until the end, since a fault of ours has ended the writer.

        Their callers would wait for ever; so requests fail, and the health check says why.
        """
        while waiting := turns.take_any(MAX_GROUP):
            for item in waiting:
                refuse(item, error)
        while (late := self._inbox.get()) is not None:
            refuse(late, error)

    def _wait_for_turn(self, turns: WriterTurns[Item]) -> bool:
        """Take works out of the inbox until one has its turn. Returns whether more may come."""
        while (patience := turns.patience(time.monotonic())) != 0 or turns.small < MAX_GROUP:
            try:
                item = self._inbox.get(timeout=patience)
            except queue.Empty:
                break
            if item is None:
                return False
            try:
                turns.add(item, time.monotonic())
            except BaseException as error:
                refuse(item, error)
                raise
        return True

    def _run_group(self, turns: WriterTurns[Item], taken: Sequence[Item]) -> None:
        """Run a group in one transaction; callers get their results only after the commit."""
        group = [item for item in taken if item.future.set_running_or_notify_cancel()]
        if not group:
            return
        began = time.monotonic()
        try:
            answers = self._commit(group)
        except BaseException as error:
            # Disk full, I/O error: no work of the group is durable, so every caller gets the error.
            answers = [(item, None, error) for item in group]
        ended = time.monotonic()
        for item, result, failure in answers:
            if failure is None:
                item.future.set_result(result)
            else:
                item.future.set_exception(failure)
        turns.committed(group, began, ended)


def refuse(item: Item, error: BaseException) -> None:
    """Give the caller of a work, which is not run, the reason: what has ended the writer."""
    if item.future.set_running_or_notify_cancel():
        item.future.set_exception(DatabaseError(f"the writer of the records has ended: {error!r}"))


def perform(connection: Connection, group: Sequence[Item]) -> list[Answer]:
    """Run a group's works, each behind its fence and in a savepoint of its own, in the transaction that is open.

    Raises if the transaction is lost.
    """
    connection.announced.clear()
    fences: dict[Fence | None, Fenced | None] = {None: None}  # those that were asked
    answers: list[Answer] = []
    for item in group:
        result: Any = None
        failure: BaseException | None = fences.get(item.fence)
        if failure is None:
            fence = None if item.fence in fences else item.fence
            result, failure = _attempt(connection, item.work, fence)
            if fence is not None:
                fences[fence] = failure if isinstance(failure, Fenced) else None
        answers.append((item, result, failure))
    return answers


def _attempt(connection: Connection, work: Work[T], fence: Fence | None) -> tuple[T | None, BaseException | None]:
    """The result of `work` and None; or None and what it raised, with its changes undone.

    If there is a `fence`, it is asked first, and must stand.
    """
    said = len(connection.announced)
    if fence is not None:
        fence.ask(connection)
    connection.mark()
    try:
        try:
            result = work(connection)
        finally:
            if fence is not None and not connection.broken():
                fence.check(connection)  # whatever has become of the work
        connection.keep()
    except Exception as error:
        if connection.broken():
            raise
        connection.undo()
        del connection.announced[said:]
        return None, error
    return result, None


def open_database(where: str | Path, ballast: bool = False, migrate: bool = True) -> Database:
    """The database at `where`: the path of an SQLite file, or a URL `postgresql://…`. Raises DatabaseError.

    `ballast`: whether a file reserves disk space for it. `migrate`: whether an older schema is migrated, or refused.
    """
    if isinstance(where, str) and where.startswith(("postgresql:", "postgres:")):
        from scheduler.records.postgres.engine import PostgresDatabase

        return PostgresDatabase(where, migrate)
    from scheduler.records.ballast import Ballast
    from scheduler.records.sqlite import SqliteDatabase

    return SqliteDatabase(Path(where), Ballast(Path(where)) if ballast else None, migrate)
