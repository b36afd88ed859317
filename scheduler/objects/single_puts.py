"""Puts of single objects, gathered: those that wait share a transaction, and its statements.

A PUT of its own takes eight statements in a transaction that it may share; a hundred that are named together take five
in all. Each keeps its guard and its own result. A path that is put twice is named twice, in the order of the calls, so
that the second guard sees what the first has put.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from scheduler.common.gathering import Gathered
from scheduler.model import names
from scheduler.objects import namespace
from scheduler.objects.entries import Entry, NewObject
from scheduler.objects.namespace import Guard, Placed
from scheduler.records.database import Connection, Database

MOST = 256  # that are named in one transaction


class Put(NamedTuple):
    """One object to be named, unless its guard raises."""

    new: NewObject
    guard: Guard


class SinglePuts:
    """The puts of one event loop. `discard` removes blobs that have lost their last name."""

    def __init__(self, db: Database, clock: Callable[[], int], discard: Callable[[Sequence[str]], None]) -> None:
        self._db = db
        self._clock = clock
        self._discard = discard
        self._gathered: Gathered[Put, Entry] = Gathered(self._name_all, MOST)

    async def name(self, new: NewObject, guard: Guard) -> Entry:
        """Name an object whose blob is durable. Raises WireError: what `guard` raises, or why it cannot be named."""
        return await self._gathered(Put(new, guard))

    async def _name_all(self, puts: Sequence[Put]) -> Sequence[Entry | Exception]:
        now = self._clock()
        owners = {names.owner(put.new.path) for put in puts}
        placed = await self._db.of(*owners).write(partial(name_all, puts=puts, now=now))
        self._discard([blob for each in placed for blob in each.discard])
        refused = {id(new): problem for each in placed for new, problem in each.refused}
        return [refused.get(id(put.new)) or namespace.object_entry(put.new, now) for put in puts]


def name_all(c: Connection, puts: Sequence[Put], now: int) -> list[Placed]:
    """Name objects, those with the same path one after the other."""
    return [
        namespace.put_objects(
            c, [put.new for put in each], now, make_parents=False, guards={put.new.path: put.guard for put in each}
        )
        for each in apart(puts)
    ]


def apart(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """The puts in order, in groups none of which has a path twice."""
    group: dict[str, Put] = {}
    for put in puts:
        if put.new.path in group:
            yield list(group.values())
            group = {}
        group[put.new.path] = put
    yield list(group.values())
