"""Limits of accounts: what each may have and do, so that one account cannot take the service from the others.

A limit is a number, or None for no limit. An account has the service's defaults, but for those that were set for it.
Both are kept as JSON with the names of the table below; a name that is missing means the default.

Example: the service's defaults are `{"jobs": 200}`, jill's limits `{"bytes": null, "jobs": 500}`: she may store without
bound, and have 500 live jobs; for the rest the built-in defaults hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
VALUE = re.compile(r"(\d{1,15})([KMGT]|[smhd])?", re.ASCII)
NONE, DEFAULT = "none", "default"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may have and do; None: no limit."""

    bytes: int | None = None  # in all objects, by their names
    objects: int | None = None
    jobs: int | None = 1000  # that are not done
    inputs: int | None = 10_000_000  # of a job
    instances: int | None = None  # at once, of all its jobs
    task_seconds: int | None = None  # that a task may run
    requests: int | None = 10_000  # a second, at each gateway; ten seconds of it may come at once


BUILT_IN = Limits()
NAMES = tuple(field.name.replace("_", "-") for field in fields(Limits))
EXPLAINED = {
    "bytes": "bytes in all of its objects",
    "objects": "objects",
    "jobs": "jobs that go on",
    "inputs": "inputs of a job",
    "instances": "instances at once",
    "task-seconds": "seconds that a task may run",
    "requests": "requests a second",
}


class LimitError(ValueError):
    """The reason why a word sets no limit, as a sentence."""


@lru_cache(maxsize=1024)
def merged(*documents: str | None) -> Limits:
    """The limits that JSON documents leave, a later one over an earlier; the built-in defaults are below them."""
    found = BUILT_IN
    for document in documents:
        if document:
            known = {name: value for name, value in json.loads(document).items() if hasattr(BUILT_IN, name)}
            found = replace(found, **known)
    return found


def changed(document: str | None, words: Iterable[str]) -> str | None:
    """The JSON document after some `NAME=VALUE`: a number (`500`, `10G`, `2h`), `none`, or `default`, which removes it.

    None once nothing is left in it. Raises LimitError.
    """
    found: dict[str, int | None] = json.loads(document) if document else {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or name not in NAMES:
            raise LimitError(f'"{word}" sets no limit: NAME=VALUE, and NAME is one of {", ".join(NAMES)}')
        key = name.replace("-", "_")
        if value == DEFAULT:
            found.pop(key, None)
        else:
            found[key] = parsed(name, value)
    return json.dumps(found) if found else None


def parsed(name: str, value: str) -> int | None:
    """A number with a unit of its limit: K, M, G, T of bytes and numbers, s, m, h, d of time. Raises LimitError."""
    if value == NONE:
        return None
    units: Mapping[str, int] = TIMES if name.endswith("seconds") else UNITS
    match = VALUE.fullmatch(value)
    if match is None or (match[2] and match[2] not in units):
        raise LimitError(f'"{value}" is no value of {name}: a number (with {", ".join(units)}), {NONE} or {DEFAULT}')
    return int(match[1]) * units.get(match[2] or "", 1)


def as_words(limits: Limits) -> dict[str, int | None]:
    """The limits by the names that users write."""
    return {name: getattr(limits, name.replace("-", "_")) for name in NAMES}
