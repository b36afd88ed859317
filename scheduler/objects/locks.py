"""Locks on the outputs of operations: who may write where until an operation is over.

An exclusive lock is on a path and all below it: no other operation may write there, and no other writer at all. A
shared lock is on a set to which operations append: other operations may append, too. Locks go with their operation.

Example: operation 7 replaces the set `/j/stor/out`. A PUT of `/j/stor/out/x` is refused until operation 7 is over, and
so is an operation that writes `/j/stor` or appends to `/j/stor/out`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from scheduler.model import names
from scheduler.model.errors import WireError, lock_conflict
from scheduler.records.database import Connection, Row

EXCLUSIVE = "exclusive"
SHARED = "shared"


def take(c: Connection, job: int, path: str, shared: bool = False) -> None:
    """Lock an output for a job. Raises WireError LockConflict."""
    mode = SHARED if shared else EXCLUSIVE
    below = c.all("locks_below", below=f"{path}/", beyond=f"{path}0")  # "0" follows the slash
    for row in [*ask(c, [path]).found(), *below]:
        if not (row["path"] == path and mode == row["mode"] == SHARED):
            raise lock_conflict(row["path"], row["job"])
    c.run("insert_lock", path=path, job=job, mode=mode)


def release(c: Connection, job: int) -> None:
    c.run("release_locks", job=job)


def ask(c: Connection, paths: Collection[str]) -> Locking:
    """Ask, ahead, for the locks on paths and on what is above them: no lock changes before the answer is used."""
    siblings = {names.split(path)[0]: path for path in paths}  # entries of a directory are below the same ones
    asked = json.dumps(sorted({*paths, *(above for path in siblings.values() for above in names.ancestors(path))}))
    if paths:
        c.ahead("locks_at", paths=asked)
    return Locking(c, paths, asked)


@dataclass(frozen=True, slots=True)
class Locking:
    """The locks on some paths and above them, which have been asked for."""

    _c: Connection
    _paths: Collection[str]
    _asked: str

    def found(self) -> list[Row]:
        return self._c.all("locks_at", paths=self._asked) if self._paths else []

    def refusals(self, holder: int | None = None) -> dict[str, WireError]:
        """The paths that must not be written now, and why. `holder`: the job that writes them, if it is one."""
        found = {row["path"]: row for row in self.found() if row["mode"] == EXCLUSIVE and row["holder"] != holder}
        if not found:
            return {}
        refused = {}
        for path in self._paths:
            at = next((above for above in _and_above(path) if above in found), None)
            if at is not None:
                refused[path] = lock_conflict(at, found[at]["job"])
        return refused


def _and_above(path: str) -> list[str]:
    """A path, and the directories above it that can be an output."""
    return [path, *reversed(names.ancestors(path))]
