"""Databases for tests: SQLite, or PostgreSQL if REMORA_TEST_DATABASE says so.

`database_at` is where a service or a test keeps its records; `connect` is a connection, for tests of functions that
take one.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import psycopg

from scheduler.records import accounts, queries
from scheduler.records.database import Connection, Row, open_database
from scheduler.records.pipeline import Pipeline
from scheduler.records.postgres import BEGIN_WRITE, PostgresConnection
from scheduler.records.sqlite import SqliteConnection
from tests.support import postgres

ENGINE = os.environ.get("REMORA_TEST_DATABASE", "sqlite")
assert ENGINE in ("sqlite", "postgresql"), "REMORA_TEST_DATABASE is sqlite or postgresql"
# So many databases are kept for those who open theirs again.
KEPT = 40
# Ids are not taken back with the rows that had them.
AFRESH = "SELECT setval(CAST(quote_ident(sequencename) AS REGCLASS), 1, false) FROM pg_sequences"
_made: dict[Path, str] = {}
_scratch: list[Pipeline] = []


def database_at(path: Path) -> str | Path:
    """Where the records that would be in a file at `path` are: what `open_database` takes."""
    if ENGINE == "sqlite":
        return path
    path = path.resolve()
    if path not in _made:
        for old in list(_made)[:-KEPT]:
            with suppress(psycopg.errors.ObjectInUse):  # somebody has it open still
                postgres.shared().drop(_made[old], force=False)
                del _made[old]
        _made[path] = postgres.shared().create()
    return _made[path]


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


def in_memory() -> SqliteConnection:
    """An empty SQLite database."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        raw.executescript(script)
    raw.execute("BEGIN")
    return SqliteConnection(raw)


def in_postgres() -> Connection:
    """An empty database of the shared PostgreSQL server. One at a time."""
    if not _scratch:
        _scratch.append(Pipeline(psycopg.connect(postgres.shared().create(), autocommit=True)))
    (pipeline,) = _scratch
    pipeline.exchange(("ROLLBACK", ()), (AFRESH, ()), (BEGIN_WRITE, ()))
    return PostgresConnection(pipeline)
