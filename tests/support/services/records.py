"""Databases for tests: SQLite, or PostgreSQL if REMORA_TEST_DATABASE says so.

`database_at` is where a service or a test keeps its records, `open_new` opens those of a test; `connect` is a
connection, for tests of functions that take one.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import psycopg

from scheduler.records import accounts, queries
from scheduler.records.database import Connection, Database, Row, Work, open_database
from scheduler.records.postgres.engine import BEGIN_WRITE, PostgresConnection
from scheduler.records.postgres.pipeline import Pipeline
from scheduler.records.sqlite import SqliteConnection
from tests.support.services import postgres

T = TypeVar("T")
ENGINE = os.environ.get("REMORA_TEST_DATABASE", "sqlite")
assert ENGINE in ("sqlite", "postgresql"), "REMORA_TEST_DATABASE is sqlite or postgresql"
# So many databases are kept for those who open theirs again.
KEPT = 40
# Ids are not taken back with the rows that had them.
AFRESH = "SELECT setval(CAST(quote_ident(sequencename) AS REGCLASS), 1, false) FROM pg_sequences"
_made: dict[Path, str] = {}
_scratch: list[Pipeline] = []
# Where the test that runs keeps its records, and those that its module shares.
in_use: dict[str | Path, None] = {}


def database_at(path: Path) -> str | Path:
    """Where the records that would be in a file at `path` are: what `open_database` takes."""
    where = path if ENGINE == "sqlite" else _server_database(path)
    in_use[where] = None
    return where


def _server_database(path: Path) -> str:
    path = path.resolve()
    if path not in _made:
        for old in list(_made)[:-KEPT]:
            with suppress(psycopg.errors.ObjectInUse):  # somebody has it open still
                postgres.shared().drop(_made[old], force=False)
                del _made[old]
        _made[path] = postgres.shared().create()
    return _made[path]


def look(where: str | Path, work: Work[T]) -> T:
    """What `work` finds in the records of a service that may be running: nothing is changed."""
    if isinstance(where, str):
        with closing(Pipeline(psycopg.connect(where, autocommit=True))) as pipeline:
            return work(PostgresConnection(pipeline))
    with closing(sqlite3.connect(f"file:{quote(str(where))}?mode=ro", uri=True)) as raw:
        return work(SqliteConnection(raw))


def is_there(where: str | Path) -> bool:
    """Whether there are records, in the schema that statements are written for."""
    if isinstance(where, str):
        return where in _made.values()
    newest = queries.migrations()[-1][0]
    return where.exists() and look(where, lambda c: c.plain("PRAGMA user_version")[0][0]) == newest


def rows(where: str | Path, sql: str) -> list[Row]:
    """What a query finds in the records of a service that may be running."""
    with closing(open_database(where)) as db:
        return db.write_soon(lambda c: c.plain(sql)).result()


def connect(*logins: str) -> Connection:
    """A database with accounts, in a transaction that is never committed. On PostgreSQL one at a time."""
    connection = in_memory() if ENGINE == "sqlite" else in_postgres()
    for login in logins:
        accounts.create(connection, login, 0)
    return connection


def open_new(path: Path) -> Database:
    """Open records that a test keeps at `path`; new ones need no migration."""
    where = database_at(path)
    if isinstance(where, Path) and not where.exists():
        where.write_bytes(empty())
    return open_database(where)


def in_memory() -> SqliteConnection:
    """An empty SQLite database."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.deserialize(empty())
    raw.execute("BEGIN")
    return SqliteConnection(raw)


@cache
def empty() -> bytes:
    """The file of an empty SQLite database: to make it takes fifteen times as long as to copy it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        for number, script in queries.migrations():
            raw.executescript(f"{script}\nPRAGMA user_version = {number};")
        return raw.serialize()


def in_postgres() -> Connection:
    """An empty database of the shared PostgreSQL server. One at a time."""
    if not _scratch:
        _scratch.append(Pipeline(psycopg.connect(postgres.shared().create(), autocommit=True)))
    (pipeline,) = _scratch
    pipeline.exchange(("ROLLBACK", ()), (AFRESH, ()), (BEGIN_WRITE, ()))
    return PostgresConnection(pipeline)
