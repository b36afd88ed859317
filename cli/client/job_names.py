"""Which job a word stands for: an id, the beginning of one, `last`, or a name.

Ids are UUIDs, too long to type. So a job is also named by

- `/login/jobs/ID`, its directory, or by its id; these are taken as they are, and ask nothing of the service;
- `last`, the job that was created last;
- the beginning of its id, as long as it is the only one that begins so;
- its alias, which begins with `*`: the job that got it last;
- its name, as long as no other job has it. Jobs whose records are gone count: their names are in their archives.

Example: of the jobs 8bd3c96e-… and 8be1f00d-…, the second named `nightly`, `8bd` is the first and `nightly` is the
second. `8b` is refused with both as candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.client import objects
from cli.client.problem import NoSuchJob, Problem, Refused
from cli.text import escape

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{0,35}\Z")
SHORT = 8  # characters of an id that are shown, and nearly always enough
CANDIDATES = 5
Entry = dict[str, Any]


def find(mine: Jobs, text: str) -> str:
    """The id of the job that `text` stands for. Raises `Problem`: no such job, or several."""
    word = in_directory(text)
    if UUID.match(word):
        return word
    if word == "last":
        return last(mine)
    if word.startswith("*"):
        return aliased(mine, word)
    found = {entry["name"]: entry for entry in (*beginning_with(mine, word), *named(mine, text))}
    if not found:
        found = {entry["name"]: entry for entry in archived_as(mine, text)}
    if not found:
        raise NoSuchJob(text)
    if len(found) > 1:
        raise Problem(ambiguous(text, list(found.values())))
    return str(next(iter(found)))


def in_directory(text: str) -> str:
    """What follows `/login/jobs/`, if that is what it is, without a slash at its end."""
    parts = text.rstrip("/").split("/")
    return parts[3] if len(parts) == 4 and (parts[0], parts[2]) == ("", "jobs") else text.rstrip("/")


def aliased(mine: Jobs, alias: str) -> str:
    """The id of the job that got an alias last. Raises `Problem` if no job that has a record has it."""
    newest = max(mine.listing(alias=alias), key=created, default=None)
    if newest is None:
        raise NoSuchJob(alias)
    return str(newest["name"])


def last(mine: Jobs) -> str:
    """The id of the job that was created last. Raises `Problem` if there is none."""
    newest = max(mine.listing(), key=created, default=None)
    if newest is None:
        raise Problem("there is no job yet")
    return str(newest["name"])


def created(entry: Entry) -> str:
    """When a job was created: ISO 8601, which sorts as a text. (Other services may not say.)"""
    return str(entry.get("mtime", ""))


def beginning_with(mine: Jobs, word: str) -> Iterator[Entry]:
    """Jobs whose ids begin so. Directories are listed by name, so the first others end the search."""
    if not BEGINNING.match(word):
        return
    for entry in objects.entries(mine.session, mine.root, marker=word, kind="d"):
        if not entry["name"].startswith(word):
            return
        yield entry


def named(mine: Jobs, name: str) -> Iterator[Entry]:
    """Jobs of that name that have a record; not those that have been deleted since, whose directory is gone."""
    try:
        for entry in mine.listing(name=name):
            if objects.info_or_none(mine.session, mine.directory(entry["name"])):
                yield entry
    except Refused as error:
        if error.status != 400:  # a service that takes some names only
            raise


def archived_as(mine: Jobs, name: str) -> Iterator[Entry]:
    """Jobs of that name, by what their archives say."""
    from cli.client.job_list import described

    return (entry for entry, status in described(mine, mine.listing()) if status and status.get("name") == name)


def ambiguous(text: str, found: list[Entry]) -> str:
    """`"8b" stands for 2 jobs: 8bd3c96e (Nov 28 17:33), …`, the newest first; whole ids where short ones are alike."""
    newest = sorted(found, key=created, reverse=True)
    size = SHORT if len({one["name"][:SHORT] for one in found}) == len(found) else None
    shown = ", ".join(f"{one['name'][:size]} ({created(one)})" for one in newest[:CANDIDATES])
    more = ", ..." if len(newest) > CANDIDATES else ""
    return f'"{escape(text)}" stands for {len(found)} jobs: {shown}{more}'
