"""Verification (scrub): whether every name has its bytes, and all bytes have a name.

The records say which blobs the shared store must have, and of what size; the store is a directory of files. Both are
read in the order of the blobs' ids, one shard of the store after the other, so that memory is bounded by a shard: a
256th of all. A service may run meanwhile. So a difference is only a suspicion, because a blob may have been named or
removed between the two readings; it is looked at once more, in the records and in the store, before it is reported.

Bytes without a name are normal for a moment: they are written before they are named, and a task may hold them as long
as it runs. So only files older than a grace time count.

Example: of shard `3f` the store has files `3f01…` (5 bytes) and `3f77…` (9 bytes, two weeks old); the records name
`3f01…` with 6 bytes and `3fa0…`. Three findings: a wrong size, missing bytes, nameless bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from scheduler.model import names
from scheduler.model.errors import WireError
from scheduler.objects import namespace
from scheduler.objects.blobs import CHUNK, BlobStore
from scheduler.records.database import Connection, Database, Row
from scheduler.records.invariants import Finding

PAGE = 2000
MISSING, SIZE, MD5, NAMELESS, PARENT = "missing_bytes", "wrong_size", "wrong_md5", "nameless_bytes", "missing_directory"


@dataclass(frozen=True, slots=True)
class Reference:
    """A blob that the records need, and one of its names. `size` in bytes; `md5` in base64, if it is known."""

    blob: str
    name: str
    size: int
    md5: str | None = None


def reference(row: Row) -> Reference:
    return Reference(row["blob"], row["name"], row["size"], row["md5"] or None)


def compare(references: Iterable[Reference], sizes: Mapping[str, int]) -> Iterator[tuple[str, Reference]]:
    """The references that the files do not satisfy, each with its rule. `sizes`: of the files, by blob."""
    for needed in references:
        size = sizes.get(needed.blob)
        if size is None:
            yield MISSING, needed
        elif size != needed.size:
            yield SIZE, needed


def has_md5(blobs: BlobStore, needed: Reference) -> bool:
    """Whether the bytes have the MD5 that the records say. Reads all of them. Raises FileNotFoundError."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(blobs.open_in_thread(needed.blob), "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return base64.b64encode(digest.digest()).decode() == needed.md5


class Verifier:
    """One pass over records and store. `references` and `files` count what was compared.

    `nameless_before`: ms since the epoch; files that are younger may be without a name. `deep`: read all bytes.
    """

    def __init__(self, db: Database, blobs: BlobStore, nameless_before: int, deep: bool = False) -> None:
        self._db = db
        self._blobs = blobs
        self._nameless_before = nameless_before
        self._deep = deep
        self.references = 0
        self.files = 0
        self.bytes_read = 0

    async def shard(self, shard: str) -> list[Finding]:
        """The differences in one of `SHARDS`."""
        files = dict(self._blobs.in_shard(shard))
        self.files += len(files)
        sizes = {blob: status.st_size for blob, status in files.items()}
        found, after = [], shard
        while page := await self._page(after, f"{shard}~"):
            found += await self.check(page, sizes)
            for needed in page:
                files.pop(needed.blob, None)
            after = page[-1].blob
        old = [blob for blob, status in files.items() if status.st_ctime_ns < self._nameless_before * 1_000_000]
        return found + await self._nameless(old, sizes)

    async def _page(self, after: str, upto: str) -> list[Reference]:
        def read(c: Connection) -> list[Reference]:
            return [reference(row) for row in c.all("references_page", after=after, upto=upto, limit=PAGE)]

        return await self._db.read(read)

    async def check(self, references: Sequence[Reference], sizes: Mapping[str, int]) -> list[Finding]:
        """What is wrong with the bytes of some blobs."""
        self.references += len(references)
        suspected = list(compare(references, sizes))
        if self._deep:
            wrong = {needed.blob for _, needed in suspected}
            unique = {one.blob: one for one in references if one.md5 and one.blob not in wrong}
            suspected += [(MD5, one) for one in unique.values() if not self._is_sound(one)]
        if not suspected:
            return []
        still = await self._db.read(partial(referred_to, blobs=[needed.blob for _, needed in suspected]))
        return [
            self._finding(rule, needed)
            for rule, needed in suspected
            if needed.blob in still and not (rule == MISSING and self._size(needed.blob) == needed.size)
        ]

    def _is_sound(self, needed: Reference) -> bool:
        try:
            self.bytes_read += needed.size
            return has_md5(self._blobs, needed)
        except FileNotFoundError:
            return False  # it is asked for once more
        except OSError:  # the disk
            return False

    def _size(self, blob: str) -> int | None:
        try:
            return self._blobs.status(blob).st_size
        except FileNotFoundError:
            return None

    def _finding(self, rule: str, needed: Reference) -> Finding:
        size = self._size(needed.blob)
        details = {"blob": needed.blob, "name": needed.name, "size": needed.size}
        if size is None:
            return Finding(MISSING, f'the bytes of "{needed.name}" are missing: blob {needed.blob}', details)
        if rule == MD5:
            sentence = f'the bytes of "{needed.name}" are not those that were stored (MD5): blob {needed.blob}'
            return Finding(MD5, sentence, details)
        sentence = f'"{needed.name}" has {needed.size} bytes, and its blob {needed.blob} has {size}'
        return Finding(SIZE, sentence, details | {"found": size})

    async def _nameless(self, blobs: Sequence[str], sizes: Mapping[str, int]) -> list[Finding]:
        found = []
        for start in range(0, len(blobs), PAGE):
            page = blobs[start : start + PAGE]
            known = await self._db.read(partial(referred_to, blobs=page))
            found += [
                Finding(NAMELESS, f"blob {blob}, {sizes[blob]} bytes, has no name", {"blob": blob, "size": sizes[blob]})
                for blob in page
                if blob not in known and self._size(blob) is not None
            ]
        return found


def referred_to(c: Connection, blobs: Collection[str]) -> set[str]:
    """Those of some blobs that an object or an intermediate refers to."""
    return {row["blob"] for row in c.all("blobs_referred_to", blobs=json.dumps(list(blobs)))}


def discard_nameless(c: Connection, blobs: BlobStore, blob: str) -> bool:
    """Remove the bytes of a blob to which nothing refers. Call it in a writing transaction; False if it has a name."""
    if referred_to(c, [blob]):
        return False
    blobs.discard([blob])
    return True


async def job_references(db: Database, job: int, directory: str) -> list[Reference]:
    """The blobs that one job needs, with what lies below its directory."""
    parameters = {"job": job, "directory": directory, "beyond": f"{directory}/\U0010ffff"}
    return await db.read(lambda c: [reference(row) for row in c.each("references_of_job", **parameters)])


async def missing_directories(db: Database) -> list[Finding]:
    """Directories that have entries, but do not exist, or are objects."""
    found: list[Finding] = []
    after = ""
    while page := await db.read(partial(_missing_page, after=after)):
        found += page[1]
        after = page[0]
    return found


def _missing_page(c: Connection, after: str) -> tuple[str, list[Finding]] | None:
    paths = [row["dir"] for row in c.all("directories_page", after=after, limit=PAGE)]
    if not paths:
        return None
    known = namespace.resolve_many(c, [path for path in paths if path != "/"])
    missing = [path for path in paths if path != "/" and not ((entry := known.get(path)) and entry.is_directory)]
    return paths[-1], [
        Finding(PARENT, f"{path} has entries, but is {'an object' if path in known else 'not there'}", {"path": path})
        for path in missing
    ]


def restore_directory(c: Connection, path: str, now: int) -> bool:
    """Make a missing directory and those above it, with the right counts; False if its name is an object's."""
    try:
        namespace.make_directories(c, path, now)
    except WireError:
        return False
    while path != "/":
        recount(c, path)
        path = names.split(path)[0]
    return True


def recount(c: Connection, path: str) -> None:
    """Have a directory count as many entries as it has."""
    directory, name = names.split(path)
    c.run("recount_children", path=path, dir=directory, name=name)
