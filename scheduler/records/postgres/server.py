"""A PostgreSQL server: its address, sessions with our settings, and the schema.

Every problem is reported in one sentence, which never contains a password.

A server on another machine has to prove by its certificate that it is the one that the URL names (`verify-full`),
unless the URL asks for less: libpq's default accepts any server, even without TLS. Authorities are those of
`sslrootcert` in the URL, `PGSSLROOTCERT`, or `~/.postgresql/root.crt`, and else the system's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import conninfo

from scheduler.records import schema
from scheduler.records.database import DatabaseError
from scheduler.records.postgres import dialect
from scheduler.tls.plain import stays_here

OLDEST = 13
# "remo": the advisory lock of writers and migrations.
LOCK = 0x72656D6F
CHANNEL = "remora"
# How long a stopped process can hold the lock; how long a silent peer is waited for.
HOLD_SECONDS = 5
# The first version of libpq that knows `sslrootcert=system`.
KNOWS_SYSTEM = 160000
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
# Plans are made once per statement, not for its values, and never scan a whole table: tables are small when plans are
# made, and large an hour later.
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


class PostgresServer:
    """The server that a URL names. Raises DatabaseError if the URL names none."""

    def __init__(self, url: str) -> None:
        self._conninfo = _conninfo(url)
        self.where = describe(self._conninfo)

    def connect(self) -> psycopg.Connection[Any]:
        """A new session. Raises DatabaseError."""
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise DatabaseError(_sentence(self.where, error)) from None
        if connection.info.server_version < OLDEST * 10000:
            version = connection.info.server_version // 10000
            connection.close()
            raise DatabaseError(f"cannot use {self.where}: it is PostgreSQL {version}, and {OLDEST} is needed")
        return connection

    def session(self, writes: bool) -> psycopg.Connection[Any]:
        """A new session with our settings. Raises DatabaseError, psycopg.Error."""
        connection = self.connect()
        settings = {**SETTINGS, "idle_in_transaction_session_timeout": str(HOLD_SECONDS * 1000 if writes else 0)}
        if connection.execute("SHOW synchronous_commit").fetchone() == ("off",):
            settings["synchronous_commit"] = "on"  # what is answered is on disk
        names = ", ".join("set_config(%s, %s, false)" for _ in settings)
        connection.execute(f"SELECT {names}", [word for pair in settings.items() for word in pair])
        return connection

    def require(self, migrates: bool) -> int:
        """The version of the schema, if this program can use or (`migrates`) migrate it. Raises DatabaseError."""
        with self.connect() as connection:
            try:
                version = _version(connection)
            except psycopg.Error as error:
                raise DatabaseError(_sentence(self.where, error)) from None
        if why := schema.why_not(version, migrates):
            raise DatabaseError(f"cannot use {self.where}: {why}")
        return version

    def environment(self) -> dict[str, str]:
        """The variables by which PostgreSQL's own programs find the server, with the password if there is one."""
        options = psycopg.pq.Conninfo.parse(self._conninfo.encode())
        return {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val}

    def is_empty(self) -> bool:
        """Whether the database has no records. Raises DatabaseError."""
        with self.connect() as connection:
            return _version(connection) == 0

    def bring_forward(self) -> None:
        """Migrate the schema to the present version. Raises DatabaseError."""
        with self.connect() as connection:
            try:
                _bring_forward(connection, self.where)
            except psycopg.Error as error:
                raise DatabaseError(_sentence(self.where, error)) from None


def _bring_forward(connection: psycopg.Connection[Any], where: str) -> None:
    """Migrate the schema to the present version. Raises DatabaseError, psycopg.Error."""
    if (version := _version(connection)) == schema.newest():
        return
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise DatabaseError(f"cannot use {where}: its encoding is {encoding}, and UTF8 is needed")
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")  # two processes may start at once
        version = _version(connection)
        if why := schema.why_not(version, migrates=True):
            raise DatabaseError(f"cannot use {where}: {why}")
        if version == 0:
            connection.execute("CREATE TABLE remora_schema (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO remora_schema VALUES (0)")
        for _, script in schema.scripts(after=version):
            connection.execute(dialect.schema(script).encode())
        connection.execute("UPDATE remora_schema SET version = %s", (schema.newest(),))


def _version(connection: psycopg.Connection[Any]) -> int:
    """The number of the last migration; 0 before all of them."""
    # Not to_regclass: it remembers that the table is missing, though another process makes it before the lock is ours.
    there = "SELECT 1 FROM pg_tables WHERE tablename = 'remora_schema' AND schemaname = ANY (current_schemas(false))"
    if connection.execute(there).fetchone() is None:
        return 0
    row = connection.execute("SELECT version FROM remora_schema").fetchone()
    return 0 if row is None else int(row[0])


def _conninfo(url: str) -> str:
    """The connection string for psycopg. Raises DatabaseError without quoting the URL, which may contain a password."""
    try:
        given = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items() if value is not None}
        if "@" in given.get("host", "") or "/" in given.get("dbname", ""):
            raise ValueError  # a password that was cut at a character of its own
    except (psycopg.Error, ValueError):
        form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise DatabaseError(f"that is no URL of a PostgreSQL database: it has the form {form}, and what is neither "
                            "a letter nor a digit in the password is written as %XX") from None  # fmt: skip
    return conninfo.make_conninfo(**{**DEFAULTS, **encryption(given, os.environ), **given})


def encryption(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The TLS settings that the URL leaves open. A connection that leaves this machine is encrypted and verified."""
    hosts = [
        name
        for key in ("hostaddr", "host")
        for name in given.get(key, environment.get(f"PG{key.upper()}", "")).split(",")
    ]
    if "sslmode" in given or ("service" not in given and all(is_local(host) for host in hosts)):
        return {}
    own = Path(environment.get("HOME") or "/", ".postgresql", "root.crt")
    known = "sslrootcert" in given or environment.get("PGSSLROOTCERT") or own.exists()
    has_system = psycopg.pq.version() >= KNOWS_SYSTEM and not known
    return {"sslmode": "verify-full", **({"sslrootcert": "system"} if has_system else {})}


def is_local(host: str) -> bool:
    """Whether a host in libpq's form is on this machine: a socket's directory, an abstract socket, or loopback."""
    return not host or host[0] in "/@" or stays_here(host)


def describe(info: str) -> str:
    """A database for messages: its URL without the password."""
    given = conninfo.conninfo_to_dict(info)
    user = f"{quote(str(given['user']))}@" if given.get("user") else ""
    host, port = str(given.get("host") or given.get("hostaddr") or ""), given.get("port")
    place = quote(host, safe=",:[]") if not host.startswith("/") else f"[{host}]"
    return f"postgresql://{user}{place}{f':{port}' if port else ''}/{given.get('dbname') or ''}"


def _sentence(where: str, error: psycopg.Error) -> str:
    """The reason why a connection or a migration failed: the server's message, or libpq's."""
    text = error.diag.message_primary or str(error).strip()
    fatal = re.findall(r"FATAL:\s*(.+)", text)
    failed = [line.rpartition("failed: ")[2] for line in text.splitlines() if "failed: " in line]
    reason = (fatal or failed or text.splitlines() or ["no reason given"])[-1]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        reason += ": the role must own the database, or be allowed to create tables in its schema"
    if "does not support SSL" in reason:
        reason += ": what goes to another machine is encrypted, unless the URL says sslmode=disable"
    return f"cannot use {where}: {reason[0].lower()}{reason[1:]}"
