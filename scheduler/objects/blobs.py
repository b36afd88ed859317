"""Blobs: immutable bytes in a directory, by UUID.

One function (`name_of`) makes every path of an id, and refuses what is no UUID: no id, wherever it comes from, leads
outside of the directory.

A blob is created without a name (`O_TMPFILE`): if its writer dies, the kernel frees it, and nothing is left to clean
up. `publish` links it to its name in one of 256 shards, which the first blob of a shard makes. It is durable only after
a `durable()` that began later: one `syncfs` covers every blob published before it, however many (measured on ext4:
0.9 ms for 50 blobs, where 50 single fsyncs took 5 ms), so callers share it. Small blobs are written by the thread that
flushes (`store`): while a flush runs, the file system lets nobody make a file, and an event loop must not wait for it.

Some file systems that nodes share have no nameless files (NFS). There a blob is created under a name that no reader
uses, in a hidden directory; its writer renames it or removes it (`drop`), and the sweep removes those of dead writers.
A file that was created on another file system than this directory is copied when it is published.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from datapath import blobfile, spool
from datapath.blobfile import Kept
from scheduler.common.disk_reserve import Space, space_at
from scheduler.common.gathering import Gathered
from scheduler.common.ids import new_id
from scheduler.model.ids import is_id

SHARDS = frozenset(f"{number:02x}" for number in range(256))
UNFINISHED = ".unfinished"
CHUNK = 1 << 20
MOST_STORED = 256  # blobs that are written before one flush
MOST_WAITING = 1 << 20  # callers that share a flush
Bytes = bytes | memoryview
T = TypeVar("T")
# The errors of a file system without nameless files; EISDIR is the answer of an old kernel.
NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
# Blobs are opened by readers only, of any user: the directory above them decides who gets this far.
MODE = 0o444
# The errors of copy_file_range for two files that it cannot serve.
CANNOT_COPY = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
# The errors of a link to a file of another file system.
ELSEWHERE = (errno.EXDEV, errno.EOPNOTSUPP)
# Somewhat more than the kernel's lease-break-time; and the time between tries.
LEASED_SECONDS = 60.0
LEASED_PAUSE = 0.1
EMPTY_MD5 = base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()


def name_of(blob: str) -> str:
    """The path of a blob below the directory of its store. Raises ValueError for what is no id of a blob."""
    if not is_id(blob):
        raise ValueError(f"not the id of a blob: {blob[:100]!r}")
    return f"{blob[:2]}/{blob}"


class BlobStore:
    """The blob directory. Processes of all machines that mount it may share it.

    `nameless`: whether its file system has files without a name, as far as is known.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / UNFINISHED).mkdir(mode=0o711, exist_ok=True)
        self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self._unfinished = os.path.realpath(root / UNFINISHED)
        self.nameless = self._has_nameless()
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="blob-sync")
        self._flush: Gathered[None, None] = Gathered(self._flush_all, MOST_WAITING)
        self._store: Gathered[tuple[str, bytes], None] = Gathered(self._store_all, MOST_STORED)

    def close(self) -> None:
        self._flusher.shutdown()
        os.close(self._root_fd)

    def path(self, blob: str) -> Path:
        """The file of a blob. Raises ValueError for what is no id of a blob, as all methods that take an id."""
        return self.root / name_of(blob)

    def create(self, mode: int = MODE) -> int:
        """A descriptor, open for reading and writing, of a new unnamed file (or one with a hidden name).

        Raises OSError.
        """
        if self.nameless:
            return blobfile.create(self._root_fd, mode)
        name = f"{UNFINISHED}/{new_id()}"
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, MODE, dir_fd=self._root_fd)
        os.fchmod(fd, mode)
        return fd

    def publish(self, fd: int, blob: str) -> None:
        """Give the file behind `fd` its name; it must not be written any more. Raises OSError.

        A file from another file system is copied, which takes time in proportion to its size.
        """
        if (name := self._unfinished_name(fd)) is not None:
            os.fchmod(fd, MODE)
            os.fsync(fd)  # other machines that share this directory cannot see what is only in this one's memory
            self._in_shard(blob, partial(os.rename, name, src_dir_fd=self._root_fd, dst_dir_fd=self._root_fd))
            return
        try:
            self._in_shard(blob, lambda name: blobfile.publish(fd, self._root_fd, name, MODE))
        except OSError as error:
            if error.errno not in ELSEWHERE:
                raise
            self._publish_copy(fd, blob)

    def keep(self, fd: int, blob: str, hashed: bool) -> Kept | None:
        """Seal, hash and publish the small file behind `fd`. Raises OSError.

        None: that takes more than a few system calls. It is large, may still be written to, or has to be copied.
        """
        if not self.nameless:
            return None
        try:
            return self._in_shard(blob, lambda name: blobfile.keep(fd, self._root_fd, name, MODE, hashed))
        except OSError as error:
            if error.errno not in ELSEWHERE:
                raise
            return None

    def _in_shard(self, blob: str, put: Callable[[str], T]) -> T:
        """What `put` returns, which gives a file the name of a blob, once there is a directory for it."""
        name = name_of(blob)
        try:
            return put(name)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):  # another process publishes there, too
                os.mkdir(os.path.dirname(name), 0o711, dir_fd=self._root_fd)
            return put(name)

    def _publish_copy(self, fd: int, blob: str) -> None:
        copy = self.create()
        try:
            copy_file(fd, copy, os.fstat(fd).st_size)
            self.publish(copy, blob)
        finally:
            self.drop(copy)

    def drop(self, fd: int) -> None:
        """Close a file that `create` made. The file is removed unless it was published."""
        name = self._unfinished_name(fd)
        os.close(fd)
        if name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._root_fd)

    def _unfinished_name(self, fd: int) -> str | None:
        """The hidden name of a file that could not be created nameless, or None."""
        if self.nameless:
            return None
        directory, _, name = os.readlink(f"/proc/self/fd/{fd}").rpartition("/")
        return f"{UNFINISHED}/{name}" if directory == self._unfinished else None

    def _has_nameless(self) -> bool:
        try:
            os.close(os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, MODE, dir_fd=self._root_fd))
        except OSError as error:
            return error.errno not in NO_TMPFILE
        return True

    def open(self, blob: str) -> int:
        """A read-only descriptor. Raises FileNotFoundError if the blob is gone, BlockingIOError if it is leased.

        It never waits. A task that runs as the file's owner can take a write lease on its input (fcntl F_SETLEASE); the
        kernel ends that `lease-break-time` (45 s) after the first open that meets it, and a plain open waits.
        """
        return blobfile.open_blob(self._root_fd, name_of(blob))

    async def open_soon(self, blob: str, seconds: float) -> int:
        """A read-only descriptor, as `open` gives; waits up to `seconds` for the end of a lease."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                return self.open(blob)
            except BlockingIOError:
                if asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(LEASED_PAUSE)

    def open_in_thread(self, blob: str) -> int:
        """A read-only descriptor, as `open` gives; blocks its thread until the kernel has ended a lease."""
        until = time.monotonic() + LEASED_SECONDS
        while True:
            try:
                return self.open(blob)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(LEASED_PAUSE)

    def status(self, blob: str) -> os.stat_result:
        """The file's stat result. Raises FileNotFoundError if the blob is gone."""
        return os.stat(name_of(blob), dir_fd=self._root_fd)

    def discard(self, blobs: Iterable[str]) -> None:
        """Remove blobs. A blob that is gone already is no error."""
        for blob in blobs:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name_of(blob), dir_fd=self._root_fd)

    def discard_soon(self, blobs: Sequence[str]) -> None:
        """Remove blobs in the background, because a large one takes a while. The sweep finds what a crash leaves."""
        if blobs:
            asyncio.get_running_loop().run_in_executor(None, self.discard, blobs)

    def older_than(self, when: int) -> Iterator[str]:
        """Ids of blobs that were published before `when` (ms since the epoch), in no order."""
        for shard in SHARDS.intersection(os.listdir(self._root_fd)):
            for blob, status in self.in_shard(shard):
                if status.st_ctime_ns < when * 1_000_000:
                    yield blob

    def in_shard(self, shard: str) -> Iterator[tuple[str, os.stat_result]]:
        """The blobs of one of `SHARDS`, in no order, with the stat results of their files."""
        with contextlib.suppress(FileNotFoundError), os.scandir(f"{self.root}/{shard}") as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    if is_id(file.name):
                        yield file.name, file.stat(follow_symlinks=False)

    def discard_unfinished(self, when: int) -> None:
        """Remove unpublished files that were last changed before `when` (ms since the epoch)."""
        with os.scandir(self._unfinished) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    if file.stat(follow_symlinks=False).st_ctime_ns < when * 1_000_000:
                        os.unlink(file.path)

    def space(self) -> Space:
        return space_at(self._root_fd)

    async def durable(self) -> None:
        """Return when every blob published before the call is on disk. Raises OSError if the disk refuses.

        At most one flush runs; callers that come while it runs share the next one.
        """
        await self._flush(None)

    async def _flush_all(self, callers: Sequence[None]) -> Sequence[None]:
        await asyncio.get_running_loop().run_in_executor(self._flusher, spool.syncfs, self._root_fd)
        return callers

    async def store(self, blob: str, body: bytes) -> None:
        """Write a small blob, and return when it is on disk. Raises OSError; then there is no such blob."""
        await self._store((blob, body))

    async def _store_all(self, blobs: Sequence[tuple[str, bytes]]) -> Sequence[Exception | None]:
        return await asyncio.get_running_loop().run_in_executor(self._flusher, self._write_and_flush, blobs)

    def _write_and_flush(self, blobs: Sequence[tuple[str, bytes]]) -> Sequence[Exception | None]:
        failures: list[Exception | None] = []
        for blob, body in blobs:
            try:
                self.write(blob, body)
                failures.append(None)
            except OSError as error:
                failures.append(error)
        try:
            spool.syncfs(self._root_fd)
        except OSError:
            self.discard(blob for blob, _ in blobs)
            raise
        return failures

    def write(self, blob: str, body: Bytes) -> None:
        """Write and publish a blob, which is not durable yet. Raises OSError; then there is no such blob."""
        fd = self.create()
        try:
            write_whole(fd, [body], len(body), 0)
            self.publish(fd, blob)
        finally:
            self.drop(fd)


def write_whole(fd: int, pieces: Sequence[Bytes], length: int, offset: int) -> None:
    """Write pieces of `length` bytes in all. Raises OSError."""
    written = os.pwritev(fd, pieces, offset)
    if written < length:
        # A short write: the disk is filling up. Write the rest again; the error comes with it.
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            written += (step := os.pwrite(fd, rest, offset + written))
            rest = rest[step:]


def copy_file(source: int, target: int, limit: int) -> int:
    """Copy at most `limit` bytes from the beginning of `source`; returns how many."""
    done = 0
    try:
        while done < limit and (moved := os.copy_file_range(source, target, min(CHUNK, limit - done), done, done)):
            done += moved
    except OSError as error:
        if error.errno not in CANNOT_COPY:
            raise
        os.lseek(target, done, os.SEEK_SET)  # from one file system to another
        while done < limit and (moved := os.sendfile(target, source, done, min(CHUNK, limit - done))):
            done += moved
    return done
