"""Where bytes lie, as one node sees it: the objects that all nodes share, and what is its own.

Whatever has a name, or gets one when its task ends, is in the object store, a directory that
every node mounts. Intermediates nobody ever names, so they stay on the node that made them:
writing them costs no network, and a task that runs beside them reads them from the page cache.

A file is born in the store where it will probably stay, so that publishing it is a link. What
comes otherwise (a failed task's outputs are objects, though they were born as intermediates) is
copied when it is published. Files are also born in our own store where that of the objects has
no nameless files: then nothing is left of a task's files, whenever they are dropped.

On a single machine both stores are the same directory, and none of this happens.

Example: phase 1 of 2 prints 1 GB on node n7: born in n7's own store, linked there, reported as
`BlobRef(id=…, node="n7")`. Had the task failed, the same file would have been copied to the
objects and be reported without a node.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import BlobStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The two stores of a node. `node` is its name if they are two, and None if they are one."""

    objects: BlobStore
    own: BlobStore
    node: str | None = None

    @classmethod
    def one(cls, blobs: BlobStore) -> Stores:
        """Of a machine that is alone."""
        return cls(blobs, blobs)

    def born(self, final: bool) -> BlobStore:
        """In which a file is made that will probably (not) be an object."""
        return self.objects if final and self.objects.nameless else self.own

    def home(self, final: bool) -> BlobStore:
        """In which it stays when it is one (or not)."""
        return self.objects if final else self.own

    def node_of(self, final: bool) -> str | None:
        """What a `BlobRef` says of where that is."""
        return None if final else self.node

    def store_of(self, blob: BlobRef) -> BlobStore:
        """In which it is, if it is on this node at all."""
        return self.objects if blob.node is None else self.own

    def open(self, blob: BlobRef) -> int:
        """A read-only descriptor. Raises FileNotFoundError if the blob is gone."""
        return self.store_of(blob).open(blob.id)

    def status(self, blob: BlobRef) -> os.stat_result:
        """Raises FileNotFoundError if the blob is gone."""
        return self.store_of(blob).status(blob.id)

    def discard(self, blobs: Iterable[str]) -> None:
        """Remove blobs of this node's making, wherever they are."""
        ids = list(blobs)
        self.own.discard(ids)
        if self.objects is not self.own:
            self.objects.discard(ids)

    async def durable(self, blobs: Iterable[BlobRef]) -> None:
        """Return when these are on disk. Raises OSError if a disk refuses."""
        finals = {blob.node is None for blob in blobs}
        if self.own is self.objects:
            await self.own.durable()
        else:
            await asyncio.gather(*(self.home(final).durable() for final in finals))

    def close(self) -> None:
        self.objects.close()
        if self.own is not self.objects:
            self.own.close()
