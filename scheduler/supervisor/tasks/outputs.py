"""Outputs that running tasks name, checked in a transaction with the owner's rights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from scheduler.model import access, errors, names
from scheduler.model.errors import WireError
from scheduler.model.wire import Adoption, BlobRef, OutputCheck
from scheduler.objects import headers, namespace
from scheduler.objects.admission import admit
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import DEFAULT_COPIES, NO_HEADERS, NewObject
from scheduler.records.database import Connection
from scheduler.supervisor.tasks.blob_ownership import Claims


def check_output(c: Connection, owner: str, check: OutputCheck, now: int) -> None:
    """Check that a task may name an output so; makes missing directories if asked. Raises WireError.

    The name becomes visible only when the attempt commits. If the directories are gone by then, the commit makes them.
    """
    path = writable(owner, check.name)
    parent = names.split(path)[0]
    if check.parents:
        namespace.make_directories(c, parent, now)
    admit(c, path, check.headers, Conditions.of(check.headers))


def adopt(c: Connection, owner: str, adoption: Adoption, now: int, absent: Collection[str] = ()) -> list[str]:
    """Name a blob that a task has written as a plain object; returns blobs to discard. Raises WireError.

    `absent` as for `commit_reports`: only a blob that exists, and belongs to nothing yet, is given a name.
    """
    path = writable(owner, adoption.name)
    blob = adoption.blob
    claimed = [blob] if blob.size else []
    if problem := Claims(c, claimed, None, absent).problem(claimed, claimed, claimed):
        raise errors.bad_request(problem)
    return namespace.put_object(c, new_object(path, adoption.blob, adoption.headers), now).discard


def new_object(path: str, blob: BlobRef, given: Mapping[str, str] = NO_HEADERS) -> NewObject:
    """The object that a task's bytes become. Headers of the task that cannot be stored are left out."""
    public = names.top(path) == "public"
    if not given:  # as most are
        return NewObject(path, blob.id, blob.size, blob.md5 or "", headers=headers.stored(given, public))
    try:
        kept = headers.stored(given, public)
    except WireError:
        kept = headers.stored({name: given[name] for name in given if name != "content-disposition"}, public)
    try:
        copies = headers.copies(given)
    except WireError:
        copies = DEFAULT_COPIES
    return NewObject(path, blob.id, blob.size, blob.md5 or "", headers.content_type(given), copies, kept)


def writable(owner: str, name: str) -> str:
    """The normal path of a name that `owner` may write. Raises WireError."""
    path = names.from_input_line(name)
    if any(names.bad_segment(segment) for segment in path.split("/")) or not path.startswith("/"):
        raise errors.invalid_resource(name)
    if problem := refusal(owner, path):
        raise problem
    return path


def refusal(owner: str, path: str) -> WireError | None:
    """The reason why `owner` may not write an object at a normal path; None if it may."""
    if _holds_objects(owner, path.rpartition("/")[0]):
        return None
    if not access.may_write(owner, path):
        return errors.authorization_failed(owner, path)
    if names.is_root(path) or names.top(path) not in names.TOP_LEVEL:
        return errors.operation_not_allowed_on_root("PUT", path)
    return None


@lru_cache(1024)
def _holds_objects(owner: str, directory: str) -> bool:
    """Whether `owner` may write objects in a directory. A job's outputs lie in few of them."""
    inside = names.depth(directory) > 1 and names.top(directory) in names.TOP_LEVEL
    return inside and access.may_write(owner, directory)
