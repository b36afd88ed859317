"""Errors of jobs, grouped: how often each kind occurred, in how many jobs, and one example.

Two errors are of one kind if they have the same code, and messages that differ in names and ids only.

Example: `no such object: "/jill/stor/a"` and `no such object: "/bob/stor/b"` are one kind, `no such object: "…"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scheduler.model.ids import PATTERN

QUOTED = re.compile('"[^"]*"')
ID = re.compile(PATTERN)
PATH = re.compile(r"(?<![\w/])/[\w.@%-]+/(?:stor|public|jobs|reports)/\S+")
# Kinds that are kept apart; further ones are counted together.
MOST_KINDS = 1000
OTHERS = "further kinds of errors"
MAX_MESSAGE = 1000


@dataclass(slots=True)
class Kind:
    """A kind of error: how many there are, in which jobs and accounts, and the first one that was found."""

    code: str
    message: str
    example: dict[str, Any]
    count: int = 0
    jobs: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)


def kind_of(record: dict[str, Any]) -> tuple[str, str]:
    """The code and the general form of the message of an error record."""
    message = str(record.get("message", ""))[:MAX_MESSAGE]
    return str(record.get("code", "")), ID.sub("…", PATH.sub("…", QUOTED.sub('"…"', message)))


class Errors:
    """Counts errors by kind."""

    def __init__(self, code: str = "") -> None:
        self._code = code
        self._kinds: dict[tuple[str, str], Kind] = {}

    def add(self, owner: str, job: str, records: Iterable[dict[str, Any]]) -> None:
        """Count the errors of a job, but for those of another code than was asked for."""
        for record in records:
            key = kind_of(record)
            if self._code and key[0] != self._code:
                continue
            if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
                key = ("", OTHERS)
            kind = self._kinds.setdefault(key, Kind(*key, {"account": owner, "job": job, **record}))
            kind.count += 1
            kind.jobs.add(job)
            kind.accounts.add(owner)

    def kinds(self) -> list[Kind]:
        """The kinds, the most frequent first."""
        return sorted(self._kinds.values(), key=lambda kind: (-kind.count, kind.code, kind.message))
