"""Shell patterns in the names of the service, for operands in quotes: `'~~/stor/*.log'`.

`*`, `?` and `[…]` match within one name, `**` matches any number of directories. A name that begins with a dot is
matched only by a pattern that does, as in a shell. A star is an ordinary character of names as well: so what exists
under exactly the name that was typed is meant, and nothing else.

Example: `~~/stor/**/*.log` is every log at any depth; `~~/stor/a*` is `~~/stor/a*` if there is such an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from cli.client import objects
from cli.client.problem import Refused
from cli.client.session import Session
from scheduler.model import names

MAGIC = frozenset("*?[")
ANY_DEPTH = "**"


def is_pattern(path: str) -> bool:
    return not MAGIC.isdisjoint(path)


def expand(session: Session, path: str) -> list[str]:
    """The paths that `path` stands for: itself, unless it is a pattern. Raises `Refused` if nothing matches."""
    if not is_pattern(path) or objects.info_or_none(session, path):
        return [path]
    base, rest = parts(path)
    found = list(matches(session, base, rest)) if is_directory(session, base) else []
    if not found:
        raise Refused(404, "ResourceNotFoundError", f"nothing matches {names.as_line(path)}")
    return list(dict.fromkeys(found))


def parts(path: str) -> tuple[str, list[str]]:
    """The directory below which a pattern looks, and the pattern of each name below it."""
    segments = path.strip("/").split("/")
    first = next(index for index, segment in enumerate(segments) if is_pattern(segment))
    rest = segments[first:]
    return "/" + "/".join(segments[:first]), [*rest, "*"] if rest[-1] == ANY_DEPTH else rest


def is_directory(session: Session, path: str) -> bool:
    found = objects.info_or_none(session, path) if path != "/" else None
    return bool(found and found.is_directory)


def matches(session: Session, directory: str, patterns: list[str]) -> Iterator[str]:
    """What matches below a directory, in the order of its listings."""
    head, *rest = patterns
    if head == ANY_DEPTH:
        yield from matches(session, directory, rest)
        head, rest = "*", patterns
    for entry in objects.entries(session, directory):
        if not fits(entry["name"], head):
            continue
        path = objects.join(directory, entry)
        if rest and entry["type"] == "directory":
            yield from matches(session, path, rest)
        elif not rest:
            yield path


def fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
