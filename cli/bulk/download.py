"""Objects into a directory of this machine.

The producer walks the service's directories, many listings at once, and makes the directories below the target. A
listing tells size, MD5 and version (etag) of each object, so what is there already is known without a request.
"""

from __future__ import annotations

import errno
import stat
from base64 import b64encode
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5

from cli.bulk.local import Parts, Target, checked, is_part
from cli.bulk.run import Done, Run
from cli.client import objects, transfer
from cli.client.objects import Entry
from cli.client.problem import Problem, Refused
from cli.client.session import Session
from cli.client.transport.retry import again
from cli.client.tree import Walk

SMALL = 1 << 20
CHANGED = 412


@dataclass
class Download:
    """A download into `target` as part of `run`."""

    session: Session
    run: Run
    target: Target
    parallel: int
    excluded: Callable[[str], bool] = field(default=lambda _: False)
    dry: bool = False
    replace: bool = False  # a file by a directory, and the other way round

    def one(self, path: str, entry: Entry, parts: Parts) -> None:
        """An object that was named by the user."""
        self.run.submit(partial(self._get, path, entry, parts), path, self.target.shown(parts))

    def whole(self, path: str, into: Parts) -> None:
        """A directory that was named by the user."""
        for _ in self.tree(path, into):
            continue

    def tree(self, path: str, into: Parts) -> Iterator[Parts]:
        """All that is below a directory of the service; yields what has its counterpart there."""
        if not self.dry:
            self.target.make(into)
        walk = Walk(self.session, path, self.parallel, failed=self.run.fail)
        for found in walk.results():
            try:
                parts = (*into, *map(checked, found.path.removeprefix(path.rstrip("/") + "/").split("/")))
                if self.excluded("/".join(parts[len(into) :])):
                    continue
                yield parts
                self._make_way(parts, found.entry["type"] == "directory")
                if found.entry["type"] != "directory":
                    self.one(found.path, found.entry, parts)
                elif not self.dry:
                    self.target.make(parts)
            except (Problem, OSError) as error:
                self.run.fail(found.path, error)

    def _make_way(self, parts: Parts, directory: bool) -> None:
        """Remove a file where a directory goes, or a directory where a file goes."""
        old = self.target.state(parts) if self.replace else None
        if old is None or stat.S_ISDIR(old.st_mode) == directory:
            return
        if self.dry:
            self.run.show_plan("remove", self.target.shown(parts))
            return
        for below in (*self.target.below(parts), parts) if stat.S_ISDIR(old.st_mode) else (parts,):
            self.target.remove(below)

    def remove_others(self, kept: Container[Parts]) -> None:
        """Remove what is below the target and neither in `kept` nor excluded."""
        for parts in self.target.below():
            if parts in kept or is_part(parts[-1]) or self.excluded("/".join(parts)):
                continue
            shown = self.target.shown(parts)
            if self.dry:
                self.run.show_plan("remove", shown)
                self.run.report(Done("planned", "", shown))
                continue
            try:
                self.target.remove(parts)
                self.run.report(Done("removed", "", shown))
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:  # what is in it was excluded, or has been said to fail
                    self.run.fail(shown, error, shown)

    def _get(self, path: str, entry: Entry, parts: Parts) -> Done:
        file, size = self.target.shown(parts), int(entry["size"])
        if self._is_there(path, entry, parts):
            return Done("same", path, file, size)
        if self.dry:
            self.run.show_plan("fetch", file)
            return Done("planned", path, file, size)
        if size < SMALL:
            size = self._get_small(path, entry, parts)
        else:
            self._get_large(path, entry, parts)
        return Done("fetched", path, file, size)

    def _is_there(self, path: str, entry: Entry, parts: Parts) -> bool:
        old = self.target.state(parts)
        if not old or not stat.S_ISREG(old.st_mode) or old.st_size != entry["size"]:
            return False
        return self.target.md5(parts) == (md5_in(entry) or self._headers(path).get("content-md5"))

    def _headers(self, path: str) -> dict[str, str]:
        return dict(objects.info(self.session, path).headers)

    def _get_small(self, path: str, entry: Entry, parts: Parts) -> int:
        same = {"if-match": entry["etag"]} if entry.get("etag") else {}  # another version might not be small
        reply = again(self.session, lambda: self.session.call("GET", path, headers=same))
        wanted = reply.headers.get("content-md5")
        if wanted and wanted != b64encode(md5(reply.content, usedforsecurity=False).digest()).decode():
            raise Problem(f"{path}: what came has not the MD5 {wanted}", "ChecksumError")
        with self.target.writing(parts, entry["etag"]) as file:
            file.truncate(0)
            file.write(reply.content)
        self.run.moved(len(reply.content))
        return len(reply.content)

    def _get_large(self, path: str, entry: Entry, parts: Parts) -> None:
        wanted = md5_in(entry) or self._headers(path).get("content-md5", "")
        try:
            with self.target.writing(parts, entry["etag"]) as file:

                def attempt() -> None:
                    file.seek(0)
                    download = transfer.Download(self.session, path, file.write, self.run.moved)
                    download.resume(file, int(entry["size"]), entry["etag"], wanted)
                    download.run({})

                again(self.session, attempt)
        except Problem as error:
            if error.name == "ChecksumError" or (isinstance(error, Refused) and error.status == CHANGED):
                self.target.remove_part(parts, entry["etag"])  # of no use to the next run
            raise


def md5_in(entry: Entry) -> str:
    """The MD5 in a line of a listing; a plain Manta has none there."""
    return str(entry.get("contentMD5") or entry.get("md5") or "")
