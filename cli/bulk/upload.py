"""Files to the service.

The producer takes one directory after another from a stack. Of each it has the listing of the directory that it goes
to, unless that has just been made and is empty; so what lies there is known before a file is looked at. Small files of
a directory are put together (`batch`), others one by one.

What is no file: a symbolic link is left out, or with `follow` taken for what it leads to (a link to a directory above
it would never end, and is left out). A device, a socket or a pipe is a failure.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cli.bulk.batch import MOST_BYTES, MOST_FILES, UNKNOWN, Batch, Small, is_refusal_of_batches
from cli.bulk.local import is_part
from cli.bulk.run import Done, Run, StoppedError
from cli.client import objects, transfer
from cli.client.objects import Entry
from cli.client.problem import Problem, Refused
from cli.client.session import Session
from cli.client.transport.retry import again
from cli.client.tree import Walk
from cli.text import escape

SMALL = 1 << 20
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in place of a file must not hold us up
Listing = dict[str, Entry]
Source = tuple[str, str, Entry | None]  # a file here, the path that it goes to, and what lies there
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Branch:
    """A local directory and where it goes.

    `entry` is what lies there; `listing`, if that has been asked for already, what is in it. `above` are the
    directories above it (device, inode), which a link may lead back to.
    """

    directory: str
    path: str
    entry: Entry | None
    listing: Listing | None = None
    above: frozenset[Identity] = frozenset()


@dataclass
class Upload:
    """An upload as part of `run`; `headers` makes the headers of an object from its path.

    With `md5` large files are hashed before they are sent, for the service to check; small ones always are.
    """

    session: Session
    run: Run
    headers: Callable[[str], Mapping[str, str]] = field(default=lambda _: {})
    follow: bool = False
    excluded: Callable[[str], bool] = field(default=lambda _: False)
    dry: bool = False
    md5: bool = False
    replace: bool = False  # an object by a directory, and the other way round
    batches: bool = True  # until the service is seen to know none
    _waiting: list[Source] = field(default_factory=list)
    _size: int = 0

    def target(self, path: str, *, make: bool) -> Listing:
        """The listing of the directory that all goes into. Raises `Problem` if it is none and is not to be made."""
        found = objects.info_or_none(self.session, path)
        if found and not found.is_directory:
            raise Problem(f"{path} is not a directory")
        if found:
            return self._listing(path)
        if not make:
            raise Problem(f"{path} does not exist (-p makes it)")
        if not self.dry:
            objects.make_parents(self.session, path)
            objects.make_directory(self.session, path)
        return {}

    def _listing(self, path: str) -> Listing:
        return {entry["name"]: entry for entry in objects.entries(self.session, path)}

    def some(self, files: Iterable[Source]) -> None:
        """Files that were named by the user, all for one directory. Those that are none fail."""
        for file, path, there in files:
            try:
                self._submit(file, path, there, os.stat(file).st_size)
            except OSError as error:
                self.run.fail(path, error, file)
        self._flush()

    def tree(self, directory: str, path: str, entry: Entry | None, listing: Listing | None = None) -> Iterator[str]:
        """All files of a directory, which goes to `path` (see `Branch`); yields each path that has its like here."""
        stack = [Branch(directory, path, entry, listing)]
        while stack:
            branch = stack.pop()
            try:
                there = self._directory(branch.path, branch.entry) if branch.listing is None else branch.listing
                here = os.stat(branch.directory)
                entries = sorted(os.scandir(branch.directory), key=lambda entry: entry.name)
            except (Problem, OSError) as error:
                self.run.fail(branch.path, error, branch.directory)
                continue
            above = branch.above | {(here.st_dev, here.st_ino)}
            for found in entries:
                goal = f"{branch.path.rstrip('/')}/{found.name}"
                if is_part(found.name) or self.excluded(os.path.relpath(found.path, directory)):
                    continue
                yield goal
                stack += self._entry(found, goal, there.get(found.name), above)
            self._flush()

    def remove_others(self, path: str, kept: Container[str], parallel: int) -> None:
        """Remove all below the directory `path` that is neither in `kept` nor excluded: objects, then directories."""
        directories: list[str] = []
        for found in Walk(self.session, path, parallel, failed=self.run.fail).results():
            if found.path in kept or self.excluded(found.path.removeprefix(f"{path}/")):
                continue
            if found.entry["type"] == "directory":
                directories.append(found.path)
            else:
                self.run.submit(partial(self._remove, found.path), found.path)
        self.run.wait()
        for directory in sorted(directories, reverse=True):
            try:
                self.run.report(self._remove(directory))
            except Refused as error:
                if error.name != "DirectoryNotEmptyError":  # what is in it was excluded, or has been said to fail
                    self.run.fail(directory, error)

    def _remove(self, path: str) -> Done:
        if self.dry:
            self.run.show_plan("remove", path)
            return Done("planned", path)
        objects.remove(self.session, path)
        return Done("removed", path)

    def _entry(
        self, entry: os.DirEntry[str], path: str, there: Entry | None, above: frozenset[Identity]
    ) -> list[Branch]:
        """Submit a file; of a directory, what to walk next."""
        if entry.is_symlink() and not self.follow:
            self.run.leave_out(path, entry.path, "a symbolic link (-L follows it)")
            return []
        try:
            found = entry.stat()
            if stat.S_ISREG(found.st_mode):
                self._submit(entry.path, path, there, found.st_size)
            elif not stat.S_ISDIR(found.st_mode):
                raise Problem(f"{escape(entry.path)} is no regular file")
            elif (found.st_dev, found.st_ino) in above:
                self.run.leave_out(path, entry.path, "a link to a directory above it")
            else:
                return [Branch(entry.path, path, there, above=above)]
        except (Problem, OSError) as error:
            self.run.fail(path, error, entry.path)
        return []

    def _directory(self, path: str, there: Entry | None) -> Listing:
        if there and there["type"] != "directory" and not self.replace:
            raise Problem(f"{path} is an object, and a directory here")
        if there and there["type"] == "directory":
            return self._listing(path)
        if not self.dry:
            again(self.session, lambda: objects.make_directory(self.session, path))
        return {}

    def _submit(self, file: str, path: str, there: Entry | None, size: int) -> None:
        """Have a file put; a small one waits for others of its directory, until `_flush`."""
        if size >= SMALL:
            self.run.submit(partial(self._put, file, path, there), path, file)
            return
        if len(self._waiting) == MOST_FILES or self._size + size > MOST_BYTES:
            self._flush()
        self._waiting.append((file, path, there))
        self._size += size

    def _flush(self) -> None:
        if self._waiting:
            self.run.submit_many(partial(self._put_together, self._waiting))
        self._waiting, self._size = [], 0

    def _put_together(self, files: list[Source]) -> None:
        batch = Batch()
        for file, path, there in files:
            self.run.do(partial(self._put, file, path, there, batch if self.batches else None), path, file)
        if batch.files:
            self._send(batch)

    def _send(self, batch: Batch) -> None:
        try:
            for small, problem in batch.send(self.session):
                self.run.do(partial(self._answered, small, problem), small.path, small.file)
        except Problem as error:
            one_by_one = is_refusal_of_batches(error)
            self.batches &= not (isinstance(error, Refused) and error.status in UNKNOWN)
            for small in batch.files:
                act = partial(self._store, small) if one_by_one else partial(self._answered, small, error)
                self.run.do(act, small.path, small.file)

    def _answered(self, small: Small, problem: Problem | None) -> Done:
        if problem:
            raise problem
        with suppress(StoppedError):  # it is stored all the same
            self.run.moved(len(small.data))
        return Done("stored", small.path, small.file, len(small.data))

    def _put(self, file: str, path: str, there: Entry | None, batch: Batch | None = None) -> Done | None:
        with open(os.open(file, READ), "rb", buffering=0) as source:
            found = os.fstat(source.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Problem(f"{escape(file)} is no regular file")
            if there and there["type"] == "directory":
                self._make_way(path)
                there = None
            data = source.read(SMALL) if found.st_size < SMALL else None
            if data is not None and len(data) < SMALL:
                return self._put_small(file, path, there, data, batch)
            source.seek(0)
            if is_as_large(there, found.st_size) and transfer.rest_md5(source) == self._md5(path, there):
                return Done("same", path, file, found.st_size)
        if self.dry:
            return self._would(file, path)
        md5 = {"content-md5": transfer.file_md5(file)} if self.md5 else {}
        transfer.put_file(self.session, path, file, {**self.headers(path), **md5}, self.run.moved)
        return Done("stored", path, file, found.st_size)

    def _put_small(self, file: str, path: str, there: Entry | None, data: bytes, batch: Batch | None) -> Done | None:
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        if is_as_large(there, len(data)) and md5 == self._md5(path, there):
            return Done("same", path, file, len(data))
        if self.dry:
            return self._would(file, path)
        small = Small(file, path, data, md5, self.headers(path))
        return None if batch is not None and batch.add(small) else self._store(small)

    def _store(self, small: Small) -> Done:
        headers = {**small.headers, "content-md5": small.md5}
        again(self.session, lambda: self.session.call("PUT", small.path, headers=headers, body=small.data))
        return self._answered(small, None)

    def _make_way(self, path: str) -> None:
        """Remove a directory where a file goes."""
        if not self.replace:
            raise Problem(f"{path} is a directory, and a file here")
        if self.dry:
            self.run.show_plan("remove", path)
        else:
            objects.remove_tree(self.session, path, 1)

    def _would(self, file: str, path: str) -> Done:
        self.run.show_plan("store", path)
        return Done("planned", path, file)

    def _md5(self, path: str, there: Entry | None) -> str | None:
        """The MD5 of an object as its directory's listing has it, or, of a plain Manta, as HEAD says."""
        if there and "contentMD5" in there:
            return str(there["contentMD5"])
        return objects.info(self.session, path).headers.get("content-md5")


def is_as_large(there: Entry | None, size: int) -> bool:
    return there is not None and there.get("size") == size
