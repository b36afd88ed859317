"""Names: every change of the namespace, as functions of a `Connection`.

A name is a row under its directory. Two facts must follow every change, and only this module keeps
them: a directory's count of children, and whether a blob has lost its last name. So each function
that removes names returns `discard`, the blobs whose files the caller removes *after* the
transaction has committed. If a caller removed them earlier, a crash would leave a name without
bytes; if a crash prevents the removal, it leaves bytes without a name, which the sweep finds.

A blob has one name unless a SnapLink gave it another; then all its names are marked `shared`, and
only shared names are looked up for further ones (a small index).

Conditions are a `guard`: a function that gets the entry, or None, inside the transaction that would
change it, and raises to prevent the change (compare and swap).

Tasks produce outputs by the hundred, and the supervisor names them in one transaction. So
`put_objects` is the one way to name objects: it reads all parents at once and all old entries at
once, writes all rows, and updates each directory's count once. A single PUT is a batch of one. An
object that cannot be named (its name is a directory) is `refused` and does not hinder the others.

Example: `/j/stor/a` (blob 1) is linked to `/j/stor/b`, both now shared. Putting blob 2 at
`a` discards nothing; deleting `b` then discards blob 1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.model import errors, names
from scheduler.model.errors import WireError
from scheduler.objects import locks, pins
from scheduler.objects.entries import DIRECTORY, OBJECT, Entry, NewObject, encode_headers, from_row, object_row, to_row
from scheduler.records.database import Connection, Row

MAX_CHILDREN = 1_000_000

Guard = Callable[[Entry | None], None]
NO_GUARDS: Mapping[str, Guard] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one name: the entry that was put or deleted, and the blobs to discard after the commit."""

    entry: Entry
    discard: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Placed:
    """The result of a batch: blobs to discard after the commit, and objects that could not be named."""

    discard: list[str] = field(default_factory=list)
    refused: list[tuple[NewObject, WireError]] = field(default_factory=list)


def anything(_: Entry | None) -> None:
    """The guard that lets everything through."""


# Queries.


def lookup(c: Connection, path: str) -> Entry | None:
    """The entry of a normal path, or None."""
    directory, name = names.split(path)
    row = c.one("find_entry", dir=directory, name=name)
    return None if row is None else from_row(row)


def resolve_many(c: Connection, paths: Iterable[str]) -> dict[str, Entry]:
    """Entries by path, for those of the normal `paths` that exist. One statement however many."""
    return _resolve_places(c, {path: names.split(path) for path in paths})


def _resolve_places(c: Connection, places: Mapping[str, tuple[str, str]]) -> dict[str, Entry]:
    """As `resolve_many`, for paths that are split already."""
    if not places:
        return {}
    wanted = list(places)
    rows = c.all("find_entries", wanted=json.dumps(list(places.values())))
    return {wanted[row["at"]]: from_row(row) for row in rows}


def replaced(c: Connection, known: Sequence[tuple[str, str]]) -> dict[str, Entry]:
    """Entries that have replaced known objects, by path. `known`: (path, etag) of each object."""
    return _replaced(known, c.all("find_replaced", wanted=_wanted(known)))


def replaced_along(c: Connection, known: Sequence[tuple[str, str]]) -> Callable[[], dict[str, Entry]]:
    """The same, asked along with the commit of this work, and there once that is committed."""
    rows = c.along("find_replaced", wanted=_wanted(known))
    return lambda: _replaced(known, rows)


def _wanted(known: Sequence[tuple[str, str]]) -> str:
    return json.dumps([(*names.split(path), etag) for path, etag in known])


def _replaced(known: Sequence[tuple[str, str]], rows: Sequence[Row]) -> dict[str, Entry]:
    return {known[row["at"]][0]: from_row(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a directory's entries: from `marker` on, inclusive, in order of `sort` (`name` or `mtime`).

    `marker` is a name, or a time in ms. `kind` is OBJECT, DIRECTORY or None for both.
    """

    limit: int = 256
    marker: str | int | None = None
    sort: str = "name"
    descending: bool = False
    kind: str | None = None


def list_page(c: Connection, path: str, page: Page) -> list[Entry]:
    """Entries of a directory. Content-disposition is the only header that is included, so that a page stays small."""
    order = f"list_by_{page.sort}" + ("_descending" if page.descending else "")
    rows = c.all(order, dir=path, marker=page.marker, kind=page.kind, limit=page.limit)
    return [from_row(row) for row in rows]


# Objects.


def put_object(c: Connection, new: NewObject, now: int, guard: Guard = anything, parents: bool = False) -> Change:
    """Name one object. Raises WireError: what `guard` raises, or why the path cannot be named."""
    placed = put_objects(c, [new], now, make_parents=parents, guards={new.path: guard})
    if placed.refused:
        raise placed.refused[0][1]
    return Change(object_entry(new, now), placed.discard)


def put_objects(
    c: Connection,
    objects: Sequence[NewObject],
    now: int,
    make_parents: bool = True,
    by_service: bool = False,
    holder: int | None = None,
    guards: Mapping[str, Guard] = NO_GUARDS,
) -> Placed:
    """Name many objects in one batch; of several with the same path the last one stays.

    `guards`: those of some paths; an object whose guard raises WireError is refused with that.
    `holder`: the operation that names them, if it is one: its own locks do not hinder it.

    Objects that the service names by itself do not count against the limit of a directory: a job has as many outputs as
    it has, and no user could name them otherwise.
    """
    placed = Placed()
    newest = {new.path: new for new in objects}
    if len(newest) < len(objects):
        stale = {new.etag for new in objects if new.size} - {new.etag for new in newest.values()}
        placed.discard.extend(stale)
    places = {path: names.split(path) for path in newest}
    directories = {directory for directory, _ in places.values()}
    locking = locks.ask(c, newest)
    found = _resolve_places(c, {above: names.split(above) for above in directories} | places)
    parents = Parents(c, directories, now if make_parents else None, not by_service, found)
    old_entries = _resolve_places(c, places) if parents.made else found
    locked = locking.refusals(holder)
    rows = []
    replaced = []
    for path, new in newest.items():
        old = old_entries.get(path)
        directory, name = places[path]
        problem = guards_refusal(guards, path, old) if guards else None
        problem = problem or locked.get(path) or refusal(path, old)
        if problem := problem or parents.refusal(directory, old is None):
            placed.refused.append((new, problem))
            continue
        same = old is not None and old.etag == new.etag
        if old is not None and not same:
            replaced.append(old)
        rows.append(object_row(new, directory, name, now, old.shared if old is not None and same else 0))
    c.many("put_entry", rows)
    parents.save()
    placed.discard.extend(orphans(c, replaced))
    return placed


def guards_refusal(guards: Mapping[str, Guard], path: str, old: Entry | None) -> WireError | None:
    """The error with which the guard of a path prevents a change; None if it lets it through."""
    try:
        guards.get(path, anything)(old)
    except WireError as problem:
        return problem
    return None


def object_entry(new: NewObject, now: int) -> Entry:
    directory, name = names.split(new.path)
    return Entry(directory, name, OBJECT, new.etag, new.size, new.md5, new.type, new.copies, new.headers, 0, 0, now)


def refusal(path: str, old: Entry | None) -> WireError | None:
    """The reason why an object cannot have this name, whatever its directory; None if it can."""
    if names.is_root(path):
        return errors.operation_not_allowed_on_root("PUT", path)
    if old is not None and old.is_directory:
        return errors.operation_not_allowed_on_directory(path, "PUT")
    return None


def put_link(c: Connection, source: str, path: str, guard: Guard = anything) -> Change:
    """Make `path` a second name of the object `source`. Raises WireError."""
    original = lookup(c, source)
    if original is None:
        raise errors.source_object_not_found(source)
    if original.is_directory:
        raise errors.link_not_object(source)
    old = lookup(c, path)
    guard(old)
    directory, name = names.split(path)
    if problem := refusal(path, old):
        raise problem
    link = original._replace(dir=directory, name=name, shared=1)
    c.run("mark_shared", dir=original.dir, name=original.name)
    return put_entry(c, link, old)


# Directories.


def put_directory(c: Connection, path: str, headers: Mapping[str, str], now: int) -> Change:
    """Make a directory, or replace the headers of one. Replaces an object. Raises WireError."""
    old = lookup(c, path)
    if old is not None and old.is_directory:
        if encode_headers(old.headers) == encode_headers(headers):
            return Change(old)
        return put_metadata(c, path, headers, None, now)
    directory, name = names.split(path)
    entry = Entry(directory, name, DIRECTORY, None, None, None, None, None, headers, 0, 0, now)
    return put_entry(c, entry, old)


def make_directories(c: Connection, path: str, now: int) -> None:
    """Make a directory and the missing ones above it. Raises WireError."""
    missing = []
    at = path
    while (entry := lookup(c, at)) is None:
        if names.is_root(at):
            raise errors.directory_does_not_exist(at)
        missing.append(at)
        at = names.split(at)[0]
    if problem := full_or_no_directory(entry, adding=bool(missing)):
        raise problem
    for made in reversed(missing):
        directory, name = names.split(made)
        c.run("put_directory_if_absent", dir=directory, name=name, mtime=now)
        add_children(c, {directory: 1})


def full_or_no_directory(entry: Entry, adding: bool) -> WireError | None:
    """The reason why an entry cannot be the parent of another; None if it can."""
    if not entry.is_directory:
        return errors.parent_not_directory(entry.path)
    if adding and entry.children > MAX_CHILDREN:
        return errors.directory_limit_exceeded(entry.path)
    return None


class Parents:
    """The parent directories of one batch: read together, made before anything is put, counted together."""

    def __init__(
        self,
        c: Connection,
        directories: set[str],
        make_at: int | None = None,
        limited: bool = True,
        found: Mapping[str, Entry] | None = None,
    ) -> None:
        """`make_at` is the time to make missing directories with; None leaves them missing.

        `found`: entries that have just been read, those of the directories among them.
        """
        self._c = c
        self._limited = limited
        self._added: Counter[str] = Counter()
        self._broken: dict[str, WireError] = {}
        self._entries = dict(resolve_many(c, directories) if found is None else found)
        missing = sorted(directories.difference(self._entries))
        for directory in missing:
            self._handle_missing(directory, make_at)
        self._entries.update(resolve_many(c, missing) if missing else {})
        self.made = bool(missing) and make_at is not None  # whether directories were missing, and may be there now

    def _handle_missing(self, directory: str, make_at: int | None) -> None:
        if make_at is None:
            self._broken[directory] = errors.directory_does_not_exist(directory)
            return
        try:
            make_directories(self._c, directory, make_at)
        except WireError as problem:
            self._broken[directory] = problem

    def refusal(self, directory: str, adding: bool) -> WireError | None:
        """The reason why an entry cannot be put into `directory`; if it can and is `adding` a name, that is counted."""
        problem = self._broken.get(directory) or full_or_no_directory(
            self._entries[directory], adding and self._limited
        )
        if problem is None and adding:
            self._added[directory] += 1
        return problem

    def save(self) -> None:
        add_children(self._c, self._added)


def add_children(c: Connection, counts: Mapping[str, int]) -> None:
    """Add to directories' counts of children."""
    rows = [
        {"dir": above, "name": name, "count": count}
        for directory, count in counts.items()
        for above, name in [names.split(directory)]
    ]
    c.many("add_children", rows)


# Any entry.


def put_entry(c: Connection, entry: Entry, old: Entry | None) -> Change:
    """Write one entry whose parent exists; `old` is the entry that has the name now."""
    parents = Parents(c, {entry.dir})
    if problem := locks.ask(c, [entry.path]).refusals().get(entry.path) or parents.refusal(entry.dir, old is None):
        raise problem
    c.run("put_entry", **to_row(entry))
    parents.save()
    return Change(entry, orphans(c, [old] if old is not None and old.etag != entry.etag else []))


def put_metadata(
    c: Connection, path: str, headers: Mapping[str, str], content_type: str | None, now: int, guard: Guard = anything
) -> Change:
    """Replace all headers of an entry; a content type of None keeps the old one. Raises WireError."""
    old = lookup(c, path)
    guard(old)
    if old is None:
        raise errors.not_found(path)
    check_unlocked(c, path)
    kept_type = old.type if old.is_directory or content_type is None else content_type
    entry = old._replace(headers=headers, type=kept_type, mtime=now)
    row: dict[str, Any] = to_row(entry)
    keys = ("dir", "name", "headers", "type", "mtime")
    c.run("update_metadata", **{key: row[key] for key in keys})
    return Change(entry)


def delete(c: Connection, path: str, guard: Guard = anything) -> Change:
    """Remove a name. Raises WireError: it does not exist, is a directory that is not empty, or is a root."""
    if names.is_root(path):
        raise errors.operation_not_allowed_on_root("DELETE", path)
    old = lookup(c, path)
    if old is None:
        raise errors.not_found(path)
    if old.is_directory and old.children:
        raise errors.directory_not_empty(path)
    check_unlocked(c, path)
    guard(old)
    c.run("delete_entry", dir=old.dir, name=old.name)
    add_children(c, {old.dir: -1})
    return Change(old, orphans(c, [old]))


def check_unlocked(c: Connection, path: str) -> None:
    """Raise WireError LockConflict if an operation that is not over writes there."""
    if problem := locks.ask(c, [path]).refusals().get(path):
        raise problem


def orphans(c: Connection, gone: Iterable[Entry]) -> list[str]:
    """The blobs to discard, of entries that have just lost their names: those without another name or a pin."""
    found = []
    for entry in gone:
        if entry.etag is None or not entry.size:
            continue
        if not entry.shared or c.one("find_sharer", etag=entry.etag) is None:
            found.append(entry.etag)
    return pins.spare(c, list(dict.fromkeys(found)))
