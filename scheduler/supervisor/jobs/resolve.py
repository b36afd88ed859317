"""Resolution of input names: the object behind a name, with the rights of the job's owner.

The answer is an entry, or the (code, message) of the error record that the input becomes. Messages quote the name as
it was given. Source: Manta jobs API, error table.

A private name of another account is denied whether it exists or not: no job tells which names another account has.
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.model import access, names
from scheduler.model.errors import JobErrorCode
from scheduler.objects import namespace
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection

Problem = tuple[str, str]


def resolve(c: Connection, owner: str, given: Iterable[str]) -> dict[str, Entry | Problem]:
    """The entry or the problem of each name, by name as given. One query serves all names."""
    paths = {name: names.from_input_line(name) for name in given}
    wanted = {path for path in paths.values() if _well_formed(path)}
    private = {path for path in wanted if is_private(owner, path)}
    entries = namespace.resolve_many(c, (wanted - private) | {_home(path) for path in private})
    return {
        name: _refusal(name, _home(path) in entries) if path in private else _judge(name, path, entries.get(path))
        for name, path in paths.items()
    }


def is_private(owner: str, path: str) -> bool:
    """Whether a normal path belongs to another account, which keeps it from the owner of a job."""
    return path.startswith("/") and names.depth(path) > 0 and not access.may_read(owner, path)


def private_problem(c: Connection, given: str, path: str) -> Problem:
    """The problem of a private name, as given, and its normal path."""
    return _refusal(given, namespace.lookup(c, _home(path)) is not None)


def _refusal(given: str, account_exists: bool) -> Problem:
    if account_exists:
        return JobErrorCode.AUTHORIZATION, f'permission denied: "{given}"'
    return JobErrorCode.RESOURCE_NOT_FOUND, f'no such object: "{given}"'


def _home(path: str) -> str:
    return f"/{names.owner(path)}"


def _judge(given: str, path: str, entry: Entry | None) -> Entry | Problem:
    if entry is None or names.is_root(path):
        named = _well_formed(path) or (path.startswith("/") and given.count("/") > 1)
        return JobErrorCode.RESOURCE_NOT_FOUND, f'{"no such object" if named else "malformed object name"}: "{given}"'
    if entry.is_directory:
        return JobErrorCode.INVALID_ARGUMENT, f'objects of type "directory" are not supported: "{given}"'
    return entry


def _well_formed(path: str) -> bool:
    return path.startswith("/") and names.depth(path) > 1 and "\0" not in path
