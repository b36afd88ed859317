"""Records on PostgreSQL: one writer in the whole cluster, and a server that may go away.

*One writer.* Every group's transaction begins by taking the same advisory lock, and holds it to its commit. So
transactions run one after the other in all processes together, each sees all that was before it, and means exactly
what it means on SQLite: there are no conflicts and no serialization failures. A process that dies with the lock loses
it with its session; a process that is stopped loses it after `HOLD_SECONDS`, when the server ends its session.

*Works do not wait for their last statements.* What fails there shows in the next exchange, which may be another work's,
or the commit. Then it is not known whose work it was, so the transaction is lost, and the group is run again with works
that wait, each for its own.

*A server that goes away* (restart, failover, a cable) takes the sessions with it, and an open transaction. Works touch
nothing but their connection, so they are run again on a new one, as long as it takes. In one case that is not enough:
the connection breaks after COMMIT was sent. Then the new session asks what became of that transaction
(`pg_xact_status`), whose id was learned at its start. So no work is lost or done twice, and no caller fails: callers
wait.

Announcements are NOTIFY, in the transaction that they are about. Each process listens on a connection of its own, and
hears "*" when that one was made anew. A process tells its own listeners of its own announcements at the commit.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult

from scheduler.records.database import (
    Answer,
    Connection,
    Database,
    DatabaseError,
    Item,
    Row,
    T,
    Work,
    perform,
)
from scheduler.records.listeners import Listeners
from scheduler.records.postgres import dialect
from scheduler.records.postgres.outage import RETRY_SECONDS, NotificationListener, Outage
from scheduler.records.postgres.pipeline import Ahead, Broken, Command, Pipeline
from scheduler.records.postgres.server import CHANNEL, LOCK, PostgresServer
from scheduler.records.postgres.values import TYPES, encode, encode_array

# How often a group is run again on new connections before it counts as the cause.
TRIES = 20
FETCH = 1000
# Commands in one packet: their results must fit into the socket's buffer while more are being sent.
BATCH = 200

BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TAKE_LOCK = f"SELECT pg_advisory_xact_lock({LOCK}), CAST(pg_current_xact_id() AS TEXT)"
SAY = f"SELECT pg_notify('{CHANNEL}', value) FROM json_array_elements_text(CAST($1 AS JSON))"
FATE = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS XID8))"
NOW = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)"


class PostgresConnection(Connection):
    """A connection to PostgreSQL. See Connection."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self._statements = dialect.load()
        self._for_rows: dict[str, str] = {}
        self._transactions = self._cursors = 0
        self._asked: dict[tuple[Any, ...], Ahead] = {}
        self._along: list[tuple[Ahead, list[Row]]] = []
        self._careful = False
        self._turn: Ahead | None = None  # in the cluster's order of writers

    def ahead(self, name: str, /, **parameters: Any) -> None:
        statement = self._statements[name]
        values = _values(statement, parameters)
        self._asked[statement.sql, *values] = self.pipeline.ahead((statement.sql, values))

    def along(self, name: str, /, **parameters: Any) -> list[Row]:
        statement, rows = self._statements[name], list[Row]()
        self._along.append((self.pipeline.ahead((statement.sql, _values(statement, parameters))), rows))
        return rows

    def run(self, name: str, /, **parameters: Any) -> int:
        statement = self._statements[name]
        (result,) = self.pipeline.exchange((statement.sql, _values(statement, parameters)))
        return result.command_tuples or 0

    def insert(self, name: str, /, **parameters: Any) -> int:
        statement = self._statements[name]
        assert statement.insert is not None
        (result,) = self.pipeline.exchange((statement.insert, _values(statement, parameters)))
        return int(self.pipeline.rows(result)[0][0])

    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        statement = self._statements[name]
        given = list(rows)
        if statement.rows is not None and len(given) > 1:
            keys = statement.rows.keys
            if keys is None or len(set(map(itemgetter(*keys), given))) == len(given):
                self._many_at_once(name, statement, given)
                return
        if len(given) == 1:
            self.pipeline.start((statement.sql, _values(statement, given[0])))
            return
        for start in range(0, len(given), BATCH):
            self.pipeline.exchange(*((statement.sql, _values(statement, row)) for row in given[start : start + BATCH]))

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        found = self.all(name, **parameters)
        return found[0] if found else None

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        return self._query(self._statements[name], parameters)

    def each(self, name: str, /, **parameters: Any) -> Iterator[Row]:
        statement, transaction = self._statements[name], self._transactions
        self._cursors += 1
        cursor = f"rows_{self._cursors}"
        self.pipeline.exchange(
            (f"DECLARE {cursor} NO SCROLL CURSOR FOR {statement.sql}", _values(statement, parameters))
        )
        try:
            while page := self.pipeline.rows(self.pipeline.exchange((f"FETCH {FETCH} FROM {cursor}", ()))[0]):
                yield from page
        finally:
            if transaction == self._transactions and not self.broken():
                self.pipeline.later(f"CLOSE {cursor}")

    def plain(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self._query(dialect.translate(sql), parameters)

    def now(self) -> int:
        return int(self.pipeline.rows(self.pipeline.exchange((NOW, ()))[0])[0][0])

    def mark(self) -> None:
        self.pipeline.later("SAVEPOINT work")

    def undo(self) -> None:
        self._asked.clear()
        self.pipeline.settle()
        if not self.pipeline.unless_done("SAVEPOINT work"):
            self.pipeline.later("ROLLBACK TO work")
            self.pipeline.later("RELEASE work")

    def keep(self) -> None:
        self._asked.clear()
        if not self.pipeline.unless_done("SAVEPOINT work"):
            self.pipeline.later("RELEASE work")
            if self._careful and self.pipeline.is_waited_for:
                self.pipeline.exchange()
            self.pipeline.end_work()

    def broken(self) -> bool:
        return self.pipeline.broken or self.pipeline.late

    def begin(self, careful: bool = False) -> None:
        """Open a writing transaction with the next statement, which waits for the transaction's turn.

        `careful`: each work waits for all that it has sent, so that what fails is its own failure, and nothing is Late.
        """
        self._next()
        self._careful = careful
        self.pipeline.later(BEGIN_WRITE)
        self._turn = self.pipeline.ahead((TAKE_LOCK, ()))

    @property
    def transaction(self) -> str:
        """The id of the writing transaction that is open."""
        assert self._turn is not None
        if self._turn.result is None:
            self.pipeline.exchange()
        assert self._turn.result is not None
        return str(self.pipeline.rows(self._turn.result)[0][1])

    def commit(self) -> None:
        """Commit, and send the announcements. Raises Broken when it is unknown whether it is committed."""
        said: list[Command] = []
        if self.announced:
            said = [(SAY, (encode(json.dumps(list(dict.fromkeys(self.announced))), is_json=True),))]
        *_, result = self.pipeline.exchange(*said, ("COMMIT", ()))
        if result.command_status != b"COMMIT":
            raise DatabaseError("the server would not commit")
        for asked, rows in self._along:
            if asked.result is not None:  # else a statement before it has failed, and its work with it
                rows += self.pipeline.rows(asked.result)

    def look(self, work: Work[T]) -> T:
        """Run `work` in a read-only snapshot."""
        self._next()
        self.pipeline.later(BEGIN_READ)
        try:
            return work(self)
        finally:
            self._asked.clear()
            if not self.pipeline.unless_done(BEGIN_READ) and not self.broken():
                self.pipeline.finish("ROLLBACK")

    def _next(self) -> None:
        """Reset what belongs to one transaction: a new one begins."""
        self._asked.clear()
        self._along.clear()
        self._transactions += 1
        self._cursors = 0

    def _query(self, statement: dialect.Statement, parameters: Mapping[str, Any]) -> list[Row]:
        values = _values(statement, parameters)
        result = self._answered(statement.sql, values)
        if result is None:
            (result,) = self.pipeline.exchange((statement.sql, values))
        found: list[Any] = self.pipeline.rows(result)
        return found

    def _answered(self, sql: str, values: Sequence[bytes | None]) -> PGresult | None:
        """The result of what was asked ahead, the first time."""
        asked = self._asked.pop((sql, *values), None) if self._asked else None
        if asked is not None and asked.result is None:
            self.pipeline.exchange()
        return None if asked is None else asked.result

    def _many_at_once(self, name: str, statement: dialect.Statement, given: Sequence[Mapping[str, Any]]) -> None:
        sql = self._for_rows.get(name)
        if sql is None:
            types = [TYPES.get(oid, "TEXT") for oid in self.pipeline.types(statement.sql)]
            sql = self._for_rows[name] = dialect.for_rows(statement, types)
        columns = [encode_array([row[key] for row in given]) for key in statement.names]
        self.pipeline.start((sql, columns))


def _values(statement: dialect.Statement, parameters: Mapping[str, Any]) -> list[bytes | None]:
    lists = statement.lists
    return [encode(parameters[name], name in lists) for name in statement.names]


class PostgresDatabase(Database):
    """The PostgreSQL database that a URL names. See Database."""

    def __init__(self, url: str, migrate: bool = True) -> None:
        self._server = PostgresServer(url)
        if migrate:
            self._server.bring_forward()
        else:
            self._server.require(migrates=False)
        self._outage = Outage(self._server.where)
        self._writing: PostgresConnection | None = PostgresConnection(Pipeline(self._server.session(writes=True)))
        self._local = threading.local()
        self._reading: list[PostgresConnection] = []
        listeners = Listeners()
        self._ear = NotificationListener(listeners, self._outage, self._server.connect, self._pid)
        super().__init__(self._server.where, listeners)

    @property
    def trouble(self) -> str | None:
        return self._outage.sentence

    def close(self) -> None:
        self._outage.closing.set()
        super().close()
        self._ear.close()
        for connection in self._reading:
            connection.pipeline.close()

    def _pipeline(self, writes: bool) -> PostgresConnection:
        """A connection, after a wait until the server is there.

        Raises DatabaseError only if the database is being closed.
        """

        def connect() -> PostgresConnection:
            return PostgresConnection(Pipeline(self._server.session(writes)))

        return self._outage.until(connect)

    def _pid(self) -> int:
        writing = self._writing
        return writing.pipeline.pid if writing is not None else 0

    def _read(self, work: Work[T]) -> T:
        for _ in range(TRIES):
            connection: PostgresConnection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._pipeline(writes=False)
                self._reading.append(connection)
            try:
                return connection.look(work)
            except Exception:
                if not connection.broken():
                    raise
                self._local.connection = None
                self._reading.remove(connection)
                connection.pipeline.close()
        raise DatabaseError(f"cannot read from {self.where}: the connection breaks whenever this is asked for")

    def _commit(self, group: Sequence[Item]) -> list[Answer]:
        careful = False
        for _ in range(TRIES):
            connection = self._writing = self._writing or self._pipeline(writes=True)
            ending = ""  # the transaction, once COMMIT may have been sent
            try:
                connection.begin(careful)
                answers = perform(connection, group)
                ending = connection.transaction
                connection.commit()
            except Exception as error:
                self._disconnect()
                careful = careful or connection.pipeline.late  # so that only the work fails whose statement it was
                if not connection.broken():
                    raise DatabaseError(f"cannot write to {self.where}: {error}") from error
                if not ending or not self._was_committed(ending):
                    continue
            self._listeners.tell(dict.fromkeys(connection.announced))
            return answers
        raise DatabaseError(f"cannot write to {self.where}: the connection breaks whenever this is tried")

    def _was_committed(self, transaction: str) -> bool:
        """Whether a transaction was committed whose COMMIT was sent before the connection broke."""
        while True:
            connection = self._writing = self._writing or self._pipeline(writes=True)
            try:
                (result,) = connection.pipeline.exchange((FATE, (transaction.encode(),)))
            except Broken:
                self._disconnect()
                continue
            except psycopg.Error:  # a server that does not know the transaction
                return False
            if (fate := connection.pipeline.rows(result)[0][0]) != "in progress":
                return bool(fate == "committed")
            time.sleep(RETRY_SECONDS[0])  # its session is still being ended

    def _disconnect(self) -> None:
        if self._writing is not None:
            self._writing.pipeline.close()
            self._writing = None
