"""The stores of a node: the object store that all nodes share, and the node's own intermediates.

Blobs that have an object's name, or get one when their task ends, are in the object store, a
directory that every node mounts. Intermediates never get a name, so they stay on the node that made
them: writing them costs no network, and a task on the same node reads them from the page cache.

A file is made in the store where it will probably stay, so that publishing it is a link. A file
that belongs into the other store after all (a failed task's outputs are objects, though they were
made as intermediates) is copied when it is published. Files are also made in the node's own store
if the object store has no nameless files (O_TMPFILE): then nothing is left of a task's files,
whenever they are dropped.

On a single machine both stores are the same directory, and nothing is ever copied.

Example: phase 1 of 2 prints 1 GB on node n7: made in n7's own store, linked there, reported as
`BlobRef(id=…, node="n7")`. Had the task failed, the same file would have been copied to the
objects and be reported without a node.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from datapath import blobfile
from scheduler.agent.blobs.cache import Cache
from scheduler.agent.blobs.fetch import fetch
from scheduler.agent.blobs.sweep import Leftovers
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.lost_nodes import LostNodes
from scheduler.agent.transport import ANYWHERE, Reach
from scheduler.common.ids import new_id
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import MODE, BlobStore, copy_file


class Stores:
    """The two stores of a node, and a cache for blobs of neither.

    `node` is its name, and None if the stores are one.
    """

    def __init__(
        self,
        objects: BlobStore,
        own: BlobStore,
        node: str | None = None,
        cache: Path | None = None,
        limit: int | None = None,
        reach: Reach = ANYWHERE,
    ) -> None:
        """`cache`: a directory for copies, of `limit` bytes, on the file system of the instances.

        `reach`: the way to other nodes; which of them are lost, each node knows itself.
        """
        self.reach = replace(reach, lost=LostNodes())
        self.objects = objects
        self.own = own
        self.node = node
        self.traffic = Traffic()
        # On a single machine the service sweeps.
        self.leftovers = None if node is None else Leftovers(own)
        self._cache = None if cache is None else Cache(cache, self._get, limit)
        # Whether the objects' files can be linked into instances.
        self._linkable = self._cache is None or is_linkable(objects, self._cache.blobs.root)

    @classmethod
    def one(cls, blobs: BlobStore) -> Stores:
        """The stores of a single machine."""
        return cls(blobs, blobs)

    @classmethod
    def of_node(
        cls, node: str, objects: Path, state_dir: Path, limit: int | None = None, reach: Reach = ANYWHERE
    ) -> Stores:
        """The stores of one node in a cluster; `limit`: bytes of its cache. Raises OSError."""
        return cls(BlobStore(objects), BlobStore(state_dir / "blobs"), node, state_dir / "cache", limit, reach)

    # -- what is made here -------------------------------------------------------------------

    def born(self, final: bool) -> BlobStore:
        """The store in which a file is made that will probably (not) be an object."""
        return self.objects if final and self.objects.nameless else self.own

    def home(self, final: bool) -> BlobStore:
        """The store in which an object (or an intermediate) stays."""
        return self.objects if final else self.own

    def moves(self, final: bool, expected: bool) -> bool:
        """Whether a file that was `expected` to be an object, or not, is copied when it is published."""
        return self.own is not self.objects and self.home(final) is not self.born(expected)

    def node_of(self, final: bool) -> str | None:
        """The node that a `BlobRef` to it names."""
        return None if final else self.node

    def discard(self, blobs: Iterable[str]) -> None:
        """Remove blobs that this node made, in either store."""
        ids = list(blobs)
        self.own.discard(ids)
        if self.objects is not self.own:
            self.objects.discard(ids)

    async def durable(self, blobs: Iterable[BlobRef]) -> None:
        """Return when these blobs are on disk. Raises OSError if a disk refuses."""
        finals = {blob.node is None for blob in blobs}
        if self.own is self.objects:
            await self.own.durable()
        else:
            await asyncio.gather(*(self.home(final).durable() for final in finals))

    # -- what is read here -------------------------------------------------------------------

    def is_elsewhere(self, blob: BlobRef) -> bool:
        """Whether another node made and keeps the blob."""
        return blob.node is not None and blob.node != self.node

    def is_near(self, blob: BlobRef) -> bool:
        """Whether the blob's file can be linked into an instance; if not, it has to be held first."""
        if blob.size == 0 or self._cache is None:
            return True
        return self._linkable if blob.node is None else blob.node == self.node

    async def hold(self, blob: BlobRef) -> None:
        """Hold a copy of a blob that is not near, until `let_go`. Raises BlobGoneError, FileNotFoundError, OSError."""
        assert self._cache is not None
        await self._cache.hold(blob)

    def let_go(self, blob: BlobRef) -> None:
        assert self._cache is not None
        self._cache.let_go(blob.id)

    def store_of(self, blob: BlobRef) -> BlobStore:
        """The store that has the file of a blob that is near, or held."""
        if self._cache is not None and not self.is_near(blob):
            return self._cache.blobs
        return self.home(blob.node is None)

    def open(self, blob: BlobRef) -> int:
        """A read-only descriptor of a blob of this node or the object store. Raises what `BlobStore.open` raises."""
        return self.home(blob.node is None).open(blob.id)

    def open_in_thread(self, blob: BlobRef) -> int:
        """The same, but waits for the end of a lease on the file. In a thread."""
        return self.home(blob.node is None).open_in_thread(blob.id)

    def doubt(self, blob: BlobRef) -> None:
        """Drop the copy of a blob: a task has written to the file that its instance had of it."""
        if self._cache is not None and not self.is_near(blob):
            self._cache.forget(blob.id)
        else:
            self.store_of(blob).path(blob.id).chmod(MODE)

    def _get(self, blob: BlobRef, fd: int, unwanted: threading.Event) -> None:
        """Write a blob that is not near into a file of the cache. In a thread."""
        if blob.node is not None:
            fetch(blob, fd, self.traffic, unwanted, self.reach)
            return
        source = self.objects.open_in_thread(blob.id)
        try:
            self.traffic.fetched += copy_file(source, fd, blob.size)
        finally:
            os.close(source)

    async def close(self) -> None:
        if self._cache is not None:
            await self._cache.close()
        self.objects.close()
        if self.own is not self.objects:
            self.own.close()


def is_linkable(blobs: BlobStore, directory: Path) -> bool:
    """Whether a store's file can get a second name in a directory. Tested by trying: a disk may be mounted twice."""
    fd, probe = blobs.create(), new_id()
    above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        blobfile.link(fd, above, probe)
        os.unlink(probe, dir_fd=above)
    except OSError:
        return False
    finally:
        blobs.drop(fd)
        os.close(above)
    return True
