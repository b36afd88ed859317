"""Finding one job of any account: by its id, the beginning of it, or `last`; on record, or archived long ago.

The records of a job go a day after its archive, and its directory stays. So a job is looked for among both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.model import naming
from scheduler.model.ids import is_id
from scheduler.records.database import Connection, Row
from scheduler.service.state import StateError

BEGINNING = re.compile("[0-9a-f-]{4,36}")
LAST = "last"
FEW = 10
PAGE = 500
BEYOND = "~"  # after every character of an id


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job of an account. `row`: its record, None once that is removed."""

    uuid: str
    owner: str
    row: Row | None = None

    @property
    def id(self) -> int | None:
        return None if self.row is None else self.row["id"]

    @property
    def directory(self) -> str:
        return naming.job_directory(self.owner, self.uuid)


def find_job(c: Connection, text: str) -> FoundJob:
    """The one job that `text` stands for. Raises StateError if there is none, or more than one."""
    if text == LAST:
        if (newest := c.one("newest_job")) is None:
            raise StateError("there is no job on record")
        return FoundJob(newest["uuid"], newest["owner"], newest)
    if not BEGINNING.fullmatch(text):
        raise StateError(f'"{text[:80]}" is neither the id of a job, nor the beginning of one (4 characters), nor last')
    span = {"beginning": text, "beyond": text + BEYOND, "limit": FEW}
    found = {row["uuid"]: FoundJob(row["uuid"], row["owner"], row) for row in c.all("jobs_by_beginning", **span)}
    for account in c.all("logins"):
        directory = naming.jobs_directory(account["login"])
        for row in c.all("job_directories_by_beginning", dir=directory, **span):
            found.setdefault(row["name"], FoundJob(row["name"], account["login"]))
    if not found:
        raise StateError(f'there is no job "{text}", neither on record nor archived')
    if len(found) > 1:
        raise StateError(f'"{text}" is the beginning of {len(found)} jobs: {", ".join(sorted(found)[:FEW])}')
    return next(iter(found.values()))


def jobs_between(c: Connection, since: int, before: int, owner: str = "") -> Iterator[FoundJob]:
    """Jobs that were created in a time (ms), of an account or of all: on record with errors, or archived long ago."""
    after = 0
    while page := c.all("jobs_between", after=after, since=since, before=before, owner=owner, limit=PAGE):
        yield from (FoundJob(row["uuid"], row["owner"], row) for row in page)
        after = page[-1]["id"]
    for login in [owner] if owner else [row["login"] for row in c.all("logins")]:
        yield from _archived_between(c, since, before, login)


def _archived_between(c: Connection, since: int, before: int, login: str) -> Iterator[FoundJob]:
    """The jobs of an account that are not on record any more. A job's directory is as old as the job."""
    span = {"dir": naming.jobs_directory(login), "since": since, "before": before, "limit": PAGE}
    name = ""
    while page := c.all("job_directories_between", after=name, **span):
        for row in page:
            if is_id(row["name"]) and c.one("job_by_uuid", uuid=row["name"]) is None:
                yield FoundJob(row["name"], login)
        name = page[-1]["name"]
