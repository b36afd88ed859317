"""Records on PostgreSQL: one writer in the whole cluster, and a server that may go away.

*One writer.* Every group's transaction begins by taking the one advisory lock that all of us take, and holds it to
its commit. So transactions come one after the other in all processes together, each sees all that was before it, and
means exactly what it means on SQLite: nothing conflicts and nothing has to be tried again. Whoever dies with the lock
loses it with its session; whoever is stopped loses it after `HOLD_SECONDS`, when the server ends his session.

*A server that goes away* (restart, failover, a cable) takes the sessions with it, and an open transaction. Works touch
nothing but their connection, so they are run again on a new one, as long as it takes. One case needs thought: the
connection breaks after COMMIT was sent. Then the new session is asked what became of that transaction
(`pg_xact_status`), whose id was learned at its start. So nothing is lost, nothing is done twice, and nobody fails:
things wait.

Announcements are NOTIFY, in the transaction that they are about. Each process listens on a connection of its own, and
hears "*" when that one was made anew. What a process said itself it has told its listeners at the commit.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import conninfo, pq

from scheduler.records import dialect, queries
from scheduler.records.database import (
    Answer,
    Connection,
    Database,
    DatabaseError,
    Item,
    Listeners,
    Row,
    T,
    Work,
    perform,
)
from scheduler.records.pipeline import TYPES, Broken, Command, Pipeline, encode, encode_array, rows

log = logging.getLogger(__name__)

OLDEST = 13
# "remo": the advisory lock of writers and migrations.
LOCK = 0x72656D6F
CHANNEL = "remora"
# How long a stopped process can hold the lock; how long a silent peer is waited for.
HOLD_SECONDS = 5
# A broken connection is tried again after the first of these, then ever more seldom, at most after the second.
RETRY_SECONDS = (0.05, 1.0)
# `close` waits so long for a server that is away.
CLOSE_SECONDS = 5.0
# So often a group is run again on new connections before it is to blame.
TRIES = 20
FETCH = 1000
# Commands that travel together: their results must fit into the socket's buffer while more is being sent.
BATCH = 200

DEFAULTS: Mapping[str, str] = {
    "application_name": "remora",
    "client_encoding": "UTF8",
    "connect_timeout": str(HOLD_SECONDS),
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": str(HOLD_SECONDS * 1000),
    "target_session_attrs": "read-write",
}
# Plans are made once for a statement, not for its values, and never read a table whole: tables are small when the
# plans are made, and large an hour later.
SETTINGS: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(HOLD_SECONDS * 1000),
}
BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TAKE_LOCK = f"SELECT pg_advisory_xact_lock({LOCK}), CAST(pg_current_xact_id() AS TEXT)"
SAY = f"SELECT pg_notify('{CHANNEL}', value) FROM json_array_elements_text(CAST($1 AS JSON))"
FATE = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS XID8))"
NOW = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)"


class PostgresConnection(Connection):
    """See Connection."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self._statements = dialect.load()
        self._for_rows: dict[str, str] = {}
        self._transactions = self._cursors = 0

    def run(self, name: str, /, **parameters: Any) -> int:
        statement = self._statements[name]
        (result,) = self.pipeline.exchange((statement.sql, _values(statement, parameters)))
        return result.command_tuples or 0

    def insert(self, name: str, /, **parameters: Any) -> int:
        statement = self._statements[name]
        assert statement.insert is not None
        (result,) = self.pipeline.exchange((statement.insert, _values(statement, parameters)))
        return int(rows(result)[0][0])

    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        statement = self._statements[name]
        given = list(rows)
        if statement.rows is not None and len(given) > 1:
            keys = statement.rows.keys
            if keys is None or len({tuple(row[key] for key in keys) for row in given}) == len(given):
                return self._many_at_once(name, statement, given)
        changed = 0
        for start in range(0, len(given), BATCH):
            batch = [(statement.sql, _values(statement, row)) for row in given[start : start + BATCH]]
            changed += sum(result.command_tuples or 0 for result in self.pipeline.exchange(*batch))
        return changed

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
            while page := rows(self.pipeline.exchange((f"FETCH {FETCH} FROM {cursor}", ()))[0]):
                yield from page
        finally:
            if transaction == self._transactions and not self.broken():
                self.pipeline.later(f"CLOSE {cursor}")

    def plain(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self._query(dialect.translate(sql), parameters)

    def now(self) -> int:
        return int(rows(self.pipeline.exchange((NOW, ()))[0])[0][0])

    def mark(self) -> None:
        self.pipeline.later("SAVEPOINT work")

    def undo(self) -> None:
        if not self.pipeline.unless_done("SAVEPOINT work"):
            self.pipeline.later("ROLLBACK TO work")
            self.pipeline.later("RELEASE work")

    def keep(self) -> None:
        if not self.pipeline.unless_done("SAVEPOINT work"):
            self.pipeline.later("RELEASE work")

    def broken(self) -> bool:
        return self.pipeline.broken

    def begin(self) -> str:
        """Open a transaction that writes, once it is its turn; its id."""
        self._next()
        _, result = self.pipeline.exchange((BEGIN_WRITE, ()), (TAKE_LOCK, ()))
        return str(rows(result)[0][1])

    def commit(self) -> None:
        """Commit, and say what was announced. Raises Broken when it is unknown whether it is committed."""
        said: list[Command] = []
        if self.announced:
            said = [(SAY, (encode(json.dumps(list(dict.fromkeys(self.announced))), is_json=True),))]
        *_, result = self.pipeline.exchange(*said, ("COMMIT", ()))
        if result.command_status != b"COMMIT":
            raise DatabaseError("the server would not commit")

    def look(self, work: Work[T]) -> T:
        """Run `work` in a snapshot that can change nothing."""
        self._next()
        self.pipeline.later(BEGIN_READ)
        try:
            return work(self)
        finally:
            if not self.pipeline.unless_done(BEGIN_READ) and not self.broken():
                self.pipeline.exchange(("ROLLBACK", ()))

    def _next(self) -> None:
        """A transaction begins."""
        self._transactions += 1
        self._cursors = 0

    def _query(self, statement: dialect.Statement, parameters: Mapping[str, Any]) -> list[Row]:
        (result,) = self.pipeline.exchange((statement.sql, _values(statement, parameters)))
        found: list[Any] = rows(result)
        return found

    def _many_at_once(self, name: str, statement: dialect.Statement, given: Sequence[Mapping[str, Any]]) -> int:
        sql = self._for_rows.get(name)
        if sql is None:
            types = [TYPES.get(oid, "TEXT") for oid in self.pipeline.types(statement.sql)]
            sql = self._for_rows[name] = dialect.for_rows(statement, types)
        columns = [encode_array([row[key] for row in given]) for key in statement.names]
        (result,) = self.pipeline.exchange((sql, columns))
        return result.command_tuples or 0


def _values(statement: dialect.Statement, parameters: Mapping[str, Any]) -> list[bytes | None]:
    lists = statement.lists
    return [encode(parameters[name], name in lists) for name in statement.names]


class PostgresDatabase(Database):
    """The database that a URL names. See Database."""

    def __init__(self, url: str) -> None:
        self._conninfo = _conninfo(url)
        self._outage = _Outage(describe(self._conninfo))
        connection = self._connect()
        try:
            _bring_forward(connection, self._outage.where)
        except psycopg.Error as error:
            connection.close()
            raise DatabaseError(_sentence(self._outage.where, error)) from None
        except DatabaseError:
            connection.close()
            raise
        self._writing: PostgresConnection | None = PostgresConnection(Pipeline(self._settle(connection, writes=True)))
        self._local = threading.local()
        self._reading: list[PostgresConnection] = []
        listeners = Listeners()
        self._ear = _Ear(listeners, self._outage, self._connect, self._pid)
        super().__init__(self._outage.where, listeners)

    @property
    def trouble(self) -> str | None:
        return self._outage.sentence

    def close(self) -> None:
        self._outage.closing.set()
        super().close()
        self._ear.close()
        for connection in self._reading:
            connection.pipeline.close()

    def _connect(self) -> psycopg.Connection[Any]:
        """A new session. Raises DatabaseError."""
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise DatabaseError(_sentence(self._outage.where, error)) from None
        if connection.info.server_version < OLDEST * 10000:
            version = connection.info.server_version // 10000
            connection.close()
            raise DatabaseError(f"cannot use {self._outage.where}: it is PostgreSQL {version}, and {OLDEST} is needed")
        return connection

    def _settle(self, connection: psycopg.Connection[Any], writes: bool) -> psycopg.Connection[Any]:
        settings = {**SETTINGS, "idle_in_transaction_session_timeout": str(HOLD_SECONDS * 1000 if writes else 0)}
        if connection.execute("SHOW synchronous_commit").fetchone() == ("off",):
            settings["synchronous_commit"] = "on"  # what is answered is on disk
        names = ", ".join("set_config(%s, %s, false)" for _ in settings)
        connection.execute(f"SELECT {names}", [word for pair in settings.items() for word in pair])
        return connection

    def _pipeline(self, writes: bool) -> PostgresConnection:
        """A connection, as soon as there can be one. Raises DatabaseError only if we are being closed."""

        def connect() -> PostgresConnection:
            return PostgresConnection(Pipeline(self._settle(self._connect(), writes)))

        return self._outage.until(connect)

    def _pid(self) -> int:
        return self._writing.pipeline.pid if self._writing is not None else 0

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
        for _ in range(TRIES):
            connection = self._writing = self._writing or self._pipeline(writes=True)
            ending = ""  # the transaction, once COMMIT may have been sent
            try:
                transaction = connection.begin()
                answers = perform(connection, group)
                ending = transaction
                connection.commit()
            except Exception as error:
                self._disconnect()
                if not connection.broken():
                    raise DatabaseError(f"cannot write to {self.where}: {error}") from error
                if not ending or not self._was_committed(ending):
                    continue
            self._listeners.tell(dict.fromkeys(connection.announced))
            return answers
        raise DatabaseError(f"cannot write to {self.where}: the connection breaks whenever this is tried")

    def _was_committed(self, transaction: str) -> bool:
        """What became of a transaction whose COMMIT was sent before the connection broke."""
        while True:
            connection = self._writing = self._writing or self._pipeline(writes=True)
            try:
                (result,) = connection.pipeline.exchange((FATE, (transaction.encode(),)))
            except Broken:
                self._disconnect()
                continue
            except psycopg.Error:  # a server that has never heard of it
                return False
            if (fate := rows(result)[0][0]) != "in progress":
                return bool(fate == "committed")
            time.sleep(RETRY_SECONDS[0])  # its session is still being ended

    def _disconnect(self) -> None:
        if self._writing is not None:
            self._writing.pipeline.close()
            self._writing = None


class _Outage:
    """Whether the server is away, and the patience that it takes. Shared by all who connect to it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.sentence: str | None = None
        self.closing = threading.Event()

    def until(self, connect: Callable[[], T]) -> T:
        """What `connect` returns, once it does not raise DatabaseError; that only if we are being closed meanwhile."""
        pause, longest = RETRY_SECONDS
        given_up: float | None = None
        while True:
            try:
                made = connect()
            except (DatabaseError, psycopg.Error) as error:
                self._is_away(str(error))
                if self.closing.is_set():
                    given_up = given_up or time.monotonic() + CLOSE_SECONDS
                    if time.monotonic() > given_up:
                        raise DatabaseError(str(error)) from None
            else:
                if self.sentence is not None:
                    log.info("the database is back", extra={"database": self.where})
                self.sentence = None
                return made
            time.sleep(pause) if self.closing.is_set() else self.closing.wait(pause)
            pause = min(2 * pause, longest)

    def _is_away(self, sentence: str) -> None:
        if self.sentence is None:
            log.warning("the database is away", extra={"database": self.where, "reason": sentence})
        self.sentence = sentence


class _Ear:
    """A thread that hears what other processes announce."""

    def __init__(
        self,
        listeners: Listeners,
        outage: _Outage,
        connect: Callable[[], psycopg.Connection[Any]],
        own: Callable[[], int],
    ) -> None:
        self._listeners, self._outage, self._own = listeners, outage, own
        self._wake, self._waker = os.pipe()

        def listen() -> psycopg.Connection[Any]:
            connection = connect()
            connection.execute(f"LISTEN {CHANNEL}")
            return connection

        self._listen = listen
        self._connection = listen()
        self._thread = threading.Thread(target=self._loop, name="records-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)

    def _loop(self) -> None:
        while True:
            try:
                while self._hear():
                    pass
                self._connection.close()
                return
            except psycopg.Error:
                self._connection.close()
            try:
                self._connection = self._outage.until(self._listen)
            except DatabaseError:
                return
            self._listeners.tell(["*"])

    def _hear(self) -> bool:
        """Wait for the next notifications and tell of them; False: we are being closed."""
        pg = self._connection.pgconn
        poll = select.poll()
        poll.register(pg.socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        if any(fd == self._wake for fd, _ in poll.poll()):
            return False
        pg.consume_input()
        if pg.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(pg.get_error_message())
        own = self._own()
        subjects = []
        while (notification := pg.notifies()) is not None:
            if notification.be_pid != own:
                subjects.append(notification.extra.decode())
        self._listeners.tell(dict.fromkeys(subjects))
        return True


def _bring_forward(connection: psycopg.Connection[Any], where: str) -> None:
    """Make the schema what it is today. Raises DatabaseError, psycopg.Error."""
    known = queries.migrations()
    if (version := _version(connection)) == known[-1][0]:
        return
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise DatabaseError(f"cannot use {where}: its encoding is {encoding}, and UTF8 is needed")
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")  # two processes may start at once
        version = _version(connection)
        if version > known[-1][0]:
            raise DatabaseError(f"cannot use {where}: it was written by a newer version of Remora: use that one")
        if version == 0:
            connection.execute("CREATE TABLE remora_schema (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO remora_schema VALUES (0)")
        for _, script in known[version:]:
            connection.execute(dialect.schema(script).encode())
        connection.execute("UPDATE remora_schema SET version = %s", (known[-1][0],))


def _version(connection: psycopg.Connection[Any]) -> int:
    """The number of the last migration; 0 before all of them."""
    # Not to_regclass: what it did not find it remembers, for as long as we waited for the lock, too.
    there = "SELECT 1 FROM pg_tables WHERE tablename = 'remora_schema' AND schemaname = ANY (current_schemas(false))"
    if connection.execute(there).fetchone() is None:
        return 0
    row = connection.execute("SELECT version FROM remora_schema").fetchone()
    return 0 if row is None else int(row[0])


def _conninfo(url: str) -> str:
    """What psycopg connects by. Raises DatabaseError, without a word of the URL: it may hold a password."""
    try:
        given = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items() if value is not None}
        if "@" in given.get("host", "") or "/" in given.get("dbname", ""):
            raise ValueError  # a password that was cut at one of its own characters
    except (psycopg.Error, ValueError):
        form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise DatabaseError(f"that is no URL of a PostgreSQL database: it has the form {form}, and what is neither "
                            "a letter nor a digit in the password is written as %XX") from None  # fmt: skip
    return conninfo.make_conninfo(**{**DEFAULTS, **given})


def describe(info: str) -> str:
    """A database as people may read of it: a URL without the password."""
    given = conninfo.conninfo_to_dict(info)
    user = f"{quote(str(given['user']))}@" if given.get("user") else ""
    host, port = str(given.get("host") or given.get("hostaddr") or ""), given.get("port")
    place = quote(host, safe=",:[]") if not host.startswith("/") else f"[{host}]"
    return f"postgresql://{user}{place}{f':{port}' if port else ''}/{given.get('dbname') or ''}"


def _sentence(where: str, error: psycopg.Error) -> str:
    """Why a connection could not be had, or the schema not be made: the server's reason, or libpq's."""
    text = error.diag.message_primary or str(error).strip()
    fatal = re.findall(r"FATAL:\s*(.+)", text)
    failed = re.findall(r".*failed: (.+)", text)
    reason = (fatal or failed or text.splitlines() or ["no reason given"])[-1]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        reason += ": the role must own the database, or be allowed to create tables in its schema"
    return f"cannot use {where}: {reason[0].lower()}{reason[1:]}"
