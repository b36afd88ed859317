"""Limits of accounts: what each may have and do, so that one account cannot take the service from the others; and
totals: what all accounts may have together, so that they cannot take the machines from their operator.

A limit is a number, or None for no limit. An account has the service's defaults, but for those that were set for it.
Both are kept as JSON with the names of the table below; a name that is missing means the default. Totals are a part of
the service's document, and have fewer names: a bound on one job or one task has no sum.

Example: the service's document is `{"jobs": 200, "in_all": {"jobs": 2000}}`, jill's `{"bytes": null, "jobs": 500}`: she
may store without bound, and have 500 live jobs, while all accounts together have no more than 2,000; for the rest the
built-in defaults hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Totals:
    """What all accounts together may have and do; None: no limit."""

    bytes: int | None = None
    objects: int | None = None
    jobs: int | None = None
    instances: int | None = None
    requests: int | None = None  # a second, at each gateway


BUILT_IN, NO_TOTALS = Limits(), Totals()


def words_of(kind: type[Limits] | type[Totals]) -> tuple[str, ...]:
    """The names that users write."""
    return tuple(field.name.replace("_", "-") for field in fields(kind))


NAMES = words_of(Limits)
TOTAL_NAMES = words_of(Totals)
IN_ALL = "in_all"


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


@lru_cache(maxsize=8)
def totals(document: str | None) -> Totals:
    """The totals of the service's document."""
    known = json.loads(document).get(IN_ALL, {}) if document else {}
    return Totals(**{name: value for name, value in known.items() if hasattr(NO_TOTALS, name)})


def changed(document: str | None, words: Iterable[str]) -> str | None:
    """The JSON document after some `NAME=VALUE`: a number (`500`, `10G`, `2h`), `none`, or `default`, which removes it.

    None once nothing is left in it. Raises LimitError.
    """
    found = json.loads(document) if document else {}
    _set(found, words, NAMES)
    return json.dumps(found) if found else None


def changed_totals(document: str | None, words: Iterable[str]) -> str | None:
    """The service's document after some `NAME=VALUE` of its totals, as with `changed`. Raises LimitError."""
    found = json.loads(document) if document else {}
    inner = found.pop(IN_ALL, {})
    _set(inner, words, TOTAL_NAMES)
    if inner:
        found[IN_ALL] = inner
    return json.dumps(found) if found else None


def _set(found: dict[str, int | None], words: Iterable[str], names: Sequence[str]) -> None:
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or name not in names:
            raise LimitError(f'"{word}" sets no limit: NAME=VALUE, and NAME is one of {", ".join(names)}')
        key = name.replace("-", "_")
        if value == DEFAULT:
            found.pop(key, None)
        else:
            found[key] = parsed(name, value)


def parsed(name: str, value: str) -> int | None:
    """A number with a unit of its limit: K, M, G, T of bytes and numbers, s, m, h, d of time. Raises LimitError."""
    if value == NONE:
        return None
    units: Mapping[str, int] = TIMES if name.endswith("seconds") else UNITS
    match = VALUE.fullmatch(value)
    if match is None or (match[2] and match[2] not in units):
        raise LimitError(f'"{value}" is no value of {name}: a number (with {", ".join(units)}), {NONE} or {DEFAULT}')
    return int(match[1]) * units.get(match[2] or "", 1)


def as_words(limits: Limits | Totals) -> dict[str, int | None]:
    """The limits by the names that users write."""
    return {name: getattr(limits, name.replace("-", "_")) for name in words_of(type(limits))}
