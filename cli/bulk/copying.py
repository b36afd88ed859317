"""Copies and moves within the service: links, so that no bytes move.

A link gives an object a second name (`mln`); both names hold the same bytes, and what is stored under one of them later
does not change the other, so it is a copy that costs nothing. A move is a link, then the removal of the old name, which
is made on the condition that it still is the version that was listed: what another user has stored there meanwhile
stays. A tree is walked, and each of its objects linked; directories of a moved tree are removed at the end, the
deepest first, and only when they are empty.

A move of a tree that is broken off leaves each object under its old or its new name, or both, and is finished by the
same command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from cli.bulk.run import Done, Run
from cli.client import objects
from cli.client.objects import Entry
from cli.client.problem import Problem
from cli.client.session import Session
from cli.client.tree import Walk
from cli.text import escape
from scheduler.model import names


@dataclass
class Copying:
    """Copies, or moves if `remove` is set, as part of `run`."""

    session: Session
    run: Run
    parallel: int
    remove: bool = False
    emptied: list[str] = field(default_factory=list)

    def all(self, sources: Sequence[str], goal: str, *, recursive: bool) -> None:
        """Each source to `goal`, or into it if it is a directory."""
        found = objects.info_or_none(self.session, goal)
        into = bool(found and found.is_directory)
        if len(sources) > 1 and not into:
            raise Problem(f"{goal} is not a directory: {len(sources)} sources need one")
        if into:
            check_distinct({source: names.split(source)[1] for source in sources})
        for source in sources:
            path = f"{goal.rstrip('/')}/{names.split(source)[1]}" if into else goal
            try:
                self._one(source, path, recursive=recursive)
            except Problem as error:
                self.run.fail(source, error)
        self.run.wait()
        self._remove_emptied()

    def _one(self, source: str, path: str, *, recursive: bool) -> None:
        info = objects.info(self.session, source)
        if path == source:
            raise Problem(f"{source} and {path} are the same")
        if not info.is_directory:
            self._submit(source, path, info.headers.get("etag", ""), int(info.headers.get("content-length", 0)))
            return
        if not recursive:
            raise Problem(f"{source} is a directory (-r takes it with all that is below)")
        if f"{path}/".startswith(f"{source}/"):
            raise Problem(f"{source} cannot go into itself, {path}")
        self._tree(source, path)

    def _tree(self, source: str, goal: str) -> None:
        objects.make_directory(self.session, goal)
        self.emptied.append(source)
        walk = Walk(self.session, source, self.parallel, failed=self.run.fail)
        for found in walk.results():
            self._found(found.path, f"{goal}{found.path.removeprefix(source)}", found.entry)

    def _found(self, source: str, path: str, entry: Entry) -> None:
        if entry["type"] != "directory":
            self._submit(source, path, entry["etag"], int(entry["size"]))
            return
        try:
            objects.make_directory(self.session, path)
            self.emptied.append(source)
        except Problem as error:
            self.run.fail(path, error)

    def _submit(self, source: str, path: str, etag: str, size: int) -> None:
        self.run.submit(partial(self._link, source, path, etag, size), source)

    def _link(self, source: str, path: str, etag: str, size: int) -> Done:
        objects.link(self.session, source, path)
        if not self.remove:
            return Done("copied", path, size=size)
        self.session.call("DELETE", source, headers={"if-match": etag} if etag else {})
        return Done("moved", path, size=size)

    def _remove_emptied(self) -> None:
        """Remove the directories of moved trees, the deepest first; after a failure they all stay."""
        if not self.remove or self.run.counts["failed"]:
            return
        for directory in sorted(self.emptied, reverse=True):
            try:
                objects.remove(self.session, directory)
            except Problem as error:
                self.run.fail(directory, error)


def check_distinct(own: Mapping[str, str]) -> None:
    """See that no two sources would have one name in the directory that they go to. Raises `Problem`."""
    seen: dict[str, str] = {}
    for source, name in own.items():
        if name in seen and name:
            raise Problem(f'{escape(seen[name])} and {escape(source)} would both be "{escape(name)}" there')
        seen[name] = source
