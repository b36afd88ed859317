"""The cluster's records, for commands that look at them: where they are, Nomad's variable knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from cli.client.problem import Problem
from cli.service.cluster import secrets

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi
    from scheduler.records.database import Connection, Database

T = TypeVar("T")
UNKNOWN = "where are the records? Give --database, or REMORA_DATABASE: Nomad has no variable that says it"


async def database_url(api: NomadApi, told: str | None) -> str:
    """Where the records are: as told, or as Nomad's variable says. Raises `Problem`."""
    found = told or (await secrets.kept(api, "supervisor")).get("database")
    if not found:
        raise Problem(UNKNOWN)
    return found


def check(url: str, say: Callable[[str], None]) -> None:
    """Connect to the records as services will, and tell if they are going to be migrated. Raises `Problem`."""
    from scheduler.records import schema
    from scheduler.records.database import DatabaseError
    from scheduler.records.postgres.server import PostgresServer

    try:
        server = PostgresServer(url)
        found = server.require(migrates=True)
    except DatabaseError as error:
        raise Problem(str(error)) from None
    if 0 < found < schema.newest():
        say(
            f"records {server.where}: the first new process brings their schema from {found} to {schema.newest()}; "
            "the way back is a dump of now"
        )


async def look(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` on the records, which changes nothing. Raises `Problem`."""
    return await _with(url, lambda records: records.read(work))


async def change(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction of the records. Raises `Problem`."""
    return await _with(url, lambda records: records.write(work))


async def _with(url: str, use: Callable[[Database], Awaitable[T]]) -> T:
    from scheduler.records.database import DatabaseError, open_database

    try:
        records = await asyncio.to_thread(open_database, url, migrate=False)
        try:
            return await use(records)
        finally:
            await asyncio.to_thread(records.close)
    except DatabaseError as error:
        raise Problem(str(error)) from None
