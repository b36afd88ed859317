"""A database connection of one's own, for tests of functions that take a `Connection`."""

from __future__ import annotations

import sqlite3

from scheduler.records import accounts, queries
from scheduler.records.database import Connection
from scheduler.records.sqlite import SqliteConnection


def connect(*logins: str) -> Connection:
    """A migrated database in memory, in a transaction, with accounts."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        raw.executescript(script)
    raw.execute("BEGIN")
    connection = SqliteConnection(raw)
    for login in logins:
        accounts.create(connection, login, 0)
    return connection
