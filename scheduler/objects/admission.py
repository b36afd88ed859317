"""Admission of an upload: whether an object may be put at a path.

The check runs before a body is read, so that a PUT which cannot succeed is refused early. The transaction that names
the object repeats it. Header names may be in any case if the mapping ignores case, else they are spelled as here.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.model import errors, names
from scheduler.objects import namespace
from scheduler.objects.conditions import NAMES as CONDITIONAL
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection

# Headers by which a mistaken overwrite of a directory differs from an attempt to change its metadata.
DATA_HEADERS = ("content-length", "content-md5", "durability-level")


def telling(sent: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that this check reads, as text that can be sent on."""
    given = {name: sent[name] for name in (*CONDITIONAL, *DATA_HEADERS) if name in sent}
    return {name: value.encode("utf-8", "replace").decode() for name, value in given.items()}


def admit(c: Connection, path: str, sent: Mapping[str, str], conditions: Conditions) -> None:
    """Raises WireError if no object can be put at a normal path."""
    old = namespace.lookup(c, path)
    refuse_directory(path, sent, old)
    if problem := namespace.refusal(path, old):
        raise problem
    parent, _ = names.split(path)
    above = namespace.lookup(c, parent)
    if above is None:
        raise errors.directory_does_not_exist(parent)
    if problem := namespace.full_or_no_directory(above, adding=old is None):
        raise problem
    conditions.check_write(old)


def refuse_directory(path: str, sent: Mapping[str, str], old: Entry | None) -> None:
    """Raises WireError if a request puts data where a directory is."""
    given = [header for header in DATA_HEADERS if header in sent]
    if given and old is not None and old.is_directory and not names.is_root(path):
        raise errors.invalid_update(given[0], on_directory=True)
