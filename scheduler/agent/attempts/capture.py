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
import fcntl
import hashlib
import os

from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_id
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import CHUNK, EMPTY_MD5, MODE, BlobStore, copy_file

# Mode of a task's files: while a task runs it may open its own stdout again, even if that was not foreseen
# (`reopening`), though it is not the owner.
WRITABLE = 0o622
MAX_SPARE = 64


class Scratch:
    """A pool of fresh or recycled files for the stdout and stderr of one pool's tasks."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._spare: list[int] = []

    def take(self) -> int:
        """A descriptor of an empty file, at its beginning. Raises OSError."""
        if self._spare:
            return self._spare.pop()
        fd = self._blobs.create()
        os.fchmod(fd, WRITABLE)
        return fd

    def give_back(self, fd: int) -> None:
        """Recycle or close a file that is not kept; its task is dead."""
        if len(self._spare) >= MAX_SPARE:
            os.close(fd)
            return
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            status = os.fstat(fd)
            if status.st_size or status.st_blocks:
                os.ftruncate(fd, 0)
        except OSError:  # it was sealed, or the disk refuses
            os.close(fd)
        else:
            self._spare.append(fd)

    def close(self) -> None:
        while self._spare:
            os.close(self._spare.pop())


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
    blob = blob or new_id()
    if size == 0:
        return BlobRef(id=blob, size=0, md5=EMPTY_MD5)
    if final and hashed and md5 is None:
        md5 = md5_of(fd, size)
    os.fchmod(fd, MODE)
    stores.home(final).publish(fd, blob)
    return BlobRef(id=blob, size=size, md5=md5, node=stores.node_of(final))


def md5_of(fd: int, size: int) -> str:
    """Base64 of the MD5 of a file of `size` bytes, whatever its position."""
    digest = hashlib.md5(usedforsecurity=False)
    for offset in range(0, size, CHUNK):
        digest.update(os.pread(fd, min(CHUNK, size - offset), offset))
    return base64.b64encode(digest.digest()).decode()


def seal(blobs: BlobStore, fd: int) -> bool:
    """Make `fd` a read-only descriptor of the same bytes, which no process can change any more. Raises OSError.

    Returns whether it is still the same file.

    A process may still have a writable descriptor. The kernel grants a read lease only on a file that is not open for
    writing; if it refuses, the bytes are copied.
    """
    trim(fd)
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    move(reader, fd)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        copy = blobs.create()
        try:
            copy_file(fd, copy, os.fstat(fd).st_size)
        except BaseException:
            os.close(copy)
            raise
        move(copy, fd)
        return False
    return True


def trim(fd: int) -> None:
    """Give back blocks beyond the end: a task may have reserved them (fallocate), and nothing else frees them.

    A file that was sealed has none, though a large one may have more blocks than its bytes need: where these are is
    in blocks, too.
    """
    status = os.fstat(fd)
    if status.st_blocks * 512 > status.st_size + status.st_blksize and is_writable(fd):
        os.ftruncate(fd, status.st_size)


def is_writable(fd: int) -> bool:
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def move(source: int, target: int) -> None:
    """Make the descriptor `target` refer to the file of `source`, and close `source`."""
    os.dup2(source, target, inheritable=False)
    os.close(source)
