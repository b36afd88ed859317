"""The jobs there are, with what each is: the directories below /login/jobs, and the status of each.

A listing knows a job's id and time of creation. All else is in its status, live or archived, and costs a request a
job. So the status is asked for a few jobs at a time, several at once, in the order in which they are listed: a
caller that has seen enough ends the asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from cli.client.problem import NoSuchJob

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

Entry = dict[str, Any]
AT_ONCE = 16
FEW = 4  # jobs that are asked about one after another: that needs no threads


def described(mine: Jobs, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Status | None]]:
    """Each entry with the status of its job; None for a directory that holds none."""
    entries = iter(entries)
    while some := list(islice(entries, AT_ONCE)):
        yield from zip(some, statuses(mine, some), strict=True)


def statuses(mine: Jobs, entries: list[Entry]) -> list[Status | None]:
    if len(entries) <= FEW:
        return [status_or_none(mine, entry) for entry in entries]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda entry: status_or_none(mine, entry), entries))


def status_or_none(mine: Jobs, entry: Entry) -> Status | None:
    try:
        return mine.status_or_archive(entry["name"])
    except NoSuchJob:
        return None
