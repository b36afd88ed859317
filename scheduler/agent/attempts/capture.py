"""Files that tasks write into, from fresh descriptor to named blob.

A task writes straight into the file that will be its output, so nothing is copied when it ends: the
file gets a name (`publish`), or it does not and the kernel removes it. Two consequences follow:

- Most tasks write nothing to stderr, and making a file is the most expensive thing that the agent
  does for a small task. So files that were not kept are emptied and reused (`Scratch`), but only
  among tasks of one pool: tasks of another user must never see them.
- A file is a blob from the moment that it is published, and blobs never change. So no process may
  be able to write to it. It is not enough that its task's processes are dead: they may have passed
  the descriptor to an accomplice in another instance. Therefore the file is `seal`ed first.
"""

from __future__ import annotations

import base64
import hashlib
import os

from datapath import blobfile
from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_blob_id
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import CHUNK, EMPTY_MD5, BlobStore, copy_file

# Mode of a task's files: while a task runs it may open its own stdout again, even if that was not foreseen
# (`reopening`), though it is not the owner.
WRITABLE = 0o622
MAX_SPARE = 128  # two instances give back so many of short tasks before they take any


class Scratch:
    """A pool of fresh or recycled files for the stdout and stderr of one pool's tasks."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._spare: list[int] = []

    def take(self) -> int:
        """A descriptor of an empty file, at its beginning. Raises OSError."""
        if self._spare:
            return self._spare.pop()
        return self._blobs.create(WRITABLE)

    def give_back(self, fd: int) -> None:
        """Recycle or close a file that is not kept; its task is dead."""
        if len(self._spare) >= MAX_SPARE:
            os.close(fd)
            return
        try:
            blobfile.empty(fd)
        except OSError:  # it was sealed, or the disk refuses
            os.close(fd)
        else:
            self._spare.append(fd)

    def close(self) -> None:
        while self._spare:
            os.close(self._spare.pop())


def keep(stores: Stores, fd: int, final: bool, blob: str, hashed: bool = True) -> BlobRef | None:
    """Seal and publish the file behind `fd` as `publish` does, if it is small; else, or if it is empty, None.

    Raises OSError.
    """
    kept = stores.home(final).keep(fd, blob, final and hashed)
    if kept is None or kept.size == 0:
        return None
    return BlobRef(id=blob, size=kept.size, md5=kept.md5, node=stores.node_of(final))


def publish(
    stores: Stores,
    fd: int,
    size: int,
    final: bool,
    blob: str | None = None,
    md5: str | None = None,
    hashed: bool = True,
) -> BlobRef:
    """Make the file behind `fd` a blob (of a fresh id, or `blob`), not yet durable. Raises OSError.

    `final`: the blob may become an object, and is copied if it is not in the object store. `hashed`: the whole file is
    read for its MD5 then, unless that is given. So call it in a thread if the file is large.
    """
    blob = blob or new_blob_id()
    if size == 0:
        return BlobRef(id=blob, size=0, md5=EMPTY_MD5)
    if final and hashed and md5 is None:
        md5 = md5_of(fd, size)
    stores.home(final).publish(fd, blob)
    return BlobRef(id=blob, size=size, md5=md5, node=stores.node_of(final))


def md5_of(fd: int, size: int) -> str:
    """Base64 of the MD5 of a file of `size` bytes, whatever its position."""
    digest = hashlib.md5(usedforsecurity=False)
    for offset in range(0, size, CHUNK):
        digest.update(os.pread(fd, min(CHUNK, size - offset), offset))
    return base64.b64encode(digest.digest()).decode()


def seal(blobs: BlobStore, fd: int) -> tuple[int, bool]:
    """Make `fd` a read-only descriptor of the same bytes, which no process can change any more. Raises OSError.

    Returns how many bytes these are, and whether it is still the same file: if a process has it open for writing, they
    are copied.
    """
    size, is_alone = blobfile.seal(fd)
    if is_alone:
        return size, True
    copy = blobs.create()
    try:
        size = copy_file(fd, copy, size)
        os.dup2(copy, fd, inheritable=False)
    finally:
        os.close(copy)
    return size, False
