"""Queries: the loader of the named statements in `sql/*.sql`.

A file is a sequence of statements, each opened by a comment `-- name: what it does`
(continued by further comment lines). The part before the colon is the statement's name,
unique over all files. Parameters are `:name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

PARAMETER = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
HEADING = re.compile(r"^-- (?P<name>[a-z][a-z0-9_]*): .*$", re.MULTILINE)


@cache
def load() -> dict[str, str]:
    """All statements by name. Raises ValueError if two share one."""
    statements: dict[str, str] = {}
    for resource in sorted(files("scheduler.records.sql").iterdir(), key=lambda entry: entry.name):
        if not resource.name.endswith(".sql"):
            continue
        for name, text in parse(resource.read_text("utf-8")):
            if name in statements:
                raise ValueError(f"statement {name!r} is defined twice, the second time in {resource.name}")
            statements[name] = text
    return statements


def parse(text: str) -> Iterator[tuple[str, str]]:
    """`(name, statement)` pairs of one file, comments stripped."""
    headings = list(HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        body = text[heading.end() : following.start() if following else len(text)]
        lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
        yield heading["name"], "\n".join(lines)


def numbered(statement: str, sign: str) -> tuple[str, tuple[str, ...]]:
    """A statement with its parameters by number (`sign` and the number, from 1), and their names in that order."""
    names = tuple(dict.fromkeys(PARAMETER.findall(statement)))
    return PARAMETER.sub(lambda found: f"{sign}{names.index(found[1]) + 1}", statement), names


def migrations() -> list[tuple[int, str]]:
    """`(number, script)` of every `sql/migrations/NNNN_*.sql`, in order."""
    found = []
    for resource in files("scheduler.records.sql.migrations").iterdir():
        if match := re.match(r"(\d+)_.*\.sql$", resource.name):
            found.append((int(match[1]), resource.read_text("utf-8")))
    return sorted(found)
