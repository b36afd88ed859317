"""Dumps of records on a server, by PostgreSQL's own programs, pg_dump and pg_restore.

A transaction of ours exports its snapshot, and pg_dump reads that one: so the dump has exactly what the transaction
reads afterwards, whatever the service writes meanwhile. The programs get the server and its password by their
environment, because every user of the machine can read a command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scheduler.common import child
from scheduler.records.database import Connection, DatabaseError
from scheduler.records.postgres.engine import BEGIN_READ, PostgresConnection
from scheduler.records.postgres.pipeline import Pipeline
from scheduler.records.postgres.server import PostgresServer

EXPORT = "SELECT pg_export_snapshot()"
# A dump is restored by any role, into a database of any name.
ANYWHERE = ("--no-owner", "--no-privileges")


@contextmanager
def dumped(url: str, target: Path) -> Iterator[Connection]:
    """Dump the records into a file, and read what is in it for the length of the block. Raises DatabaseError."""
    server = PostgresServer(url)
    with closing(server.session(writes=False)) as session:
        pipeline = Pipeline(session)
        _, exported = pipeline.exchange((BEGIN_READ, ()), (EXPORT, ()))
        snapshot = f"--snapshot={pipeline.rows(exported)[0][0]}"
        _run(server, "pg_dump", "--format=custom", *ANYWHERE, snapshot, f"--file={target}")
        yield PostgresConnection(pipeline)


def load(url: str, source: Path) -> None:
    """Restore a dump into an empty database, as a whole or not at all. Raises DatabaseError."""
    server = PostgresServer(url)
    if not server.is_empty():
        raise DatabaseError(f"{server.where} has records: a backup is restored into an empty database")
    _run(server, "pg_restore", "--single-transaction", "--exit-on-error", *ANYWHERE, "--dbname=", str(source))


def _run(server: PostgresServer, program: str, *words: str) -> None:
    path = child.find(program)
    if path is None:
        raise DatabaseError(f"records on a server are copied by {program}, which is not installed (postgresql-client)")
    environment = child.environment(**server.environment())
    done = child.run([path, *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in lines if "error:" in line), lines[-1] if lines else f"status {done.returncode}")
        raise DatabaseError(f"{program} cannot copy {server.where}: {why.partition('error: ')[2] or why}")
