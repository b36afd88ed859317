"""Ownership of blobs: a report may name blobs that its attempt made, and none that belongs to anything else.

A report claims blobs. Most become objects or intermediates, and a blob is removed when its name or its consumer is. So
an agent that could claim any blob could read it under a name of its choice, and have it removed. A claim is valid if

- the blob lies on the agent's own node, where only blobs that this node reported are ever removed or fetched; or
- it is in the shared store: the file exists, with the size that the report says, and neither an object nor an
  intermediate refers to it yet. It has its MD5 if it becomes an object;
- and no other claim of the batch is for the same blob.

Ids are random, and are secret until something refers to the blob. So a blob that another node or a client is writing at
the moment cannot be claimed either. An attempt with an invalid claim is lost and tried again, and the claimed blobs are
left as they are: the sweep removes those that nothing refers to.

Example: an agent that was leased a task of bob's reports the etag of jill's object as its output. An object refers to
that blob, so bob's task runs again, and jill's object stays.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from scheduler.model.wire import AttemptReport, BlobRef, Outcome
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Connection


@dataclass(frozen=True, slots=True)
class Reporter:
    """The agent that reports.

    `serves`: it serves other nodes, so intermediates of its attempts may lie on its node.
    """

    agent: int
    node: str
    serves: bool = False

    @property
    def keeps(self) -> str | None:
        """The node on which its intermediates lie; None: they are in the shared store."""
        return self.node if self.serves else None


def blobs_of(report: AttemptReport) -> Iterator[BlobRef]:
    """All blobs that a report names, except empty ones."""
    for output in report.outputs:
        if output.blob is not None and output.blob.size:
            yield output.blob
    for saved in (report.stderr, report.core):
        if saved is not None and saved.blob.size:
            yield saved.blob


def objects_of(report: AttemptReport, last: bool) -> Iterator[BlobRef]:
    """The blobs that become objects if the report counts, except empty ones.

    `last`: the attempt is of the last phase.
    """
    failed = report.outcome is Outcome.FAILED
    for output in report.outputs:
        if output.blob is not None and output.blob.size and (failed or last or output.named):
            yield output.blob
    for saved in (report.stderr, report.core):
        if saved is not None and saved.blob.size:
            yield saved.blob


def without_blobs(report: AttemptReport) -> AttemptReport:
    """The report of a lost attempt, in place of one with an invalid claim: its blobs are left alone."""
    return replace(report, outputs=[], stderr=None, core=None, missing=[])


def shared(blobs: Iterable[BlobRef], node: str | None) -> list[BlobRef]:
    """The blobs that are claimed in the shared store. `node`: where the attempts' intermediates lie, or None."""
    return [blob for blob in blobs if node is None or blob.node != node]


def absent(store: BlobStore, claims: Iterable[BlobRef]) -> set[str]:
    """The ids of claims that the shared store does not confirm. Reads files, so it runs in a thread."""
    return {blob.id for blob in claims if not _is_there(store, blob)}


def _is_there(store: BlobStore, blob: BlobRef) -> bool:
    try:
        return store.status(blob.id).st_size == blob.size
    except FileNotFoundError:
        return False


class Claims:
    """The claims of one transaction. `node` as for `shared`; `missing`: the result of `absent`."""

    def __init__(self, c: Connection, blobs: Iterable[BlobRef], node: str | None, missing: Collection[str]) -> None:
        claimed = sorted({blob.id for blob in shared(blobs, node)})
        rows = c.all("blobs_referred_to", blobs=json.dumps(claimed)) if claimed else []
        self._node = node
        self._missing = missing
        self._taken = {row["blob"] for row in rows}

    def problem(self, mine: Collection[BlobRef], objects: Iterable[BlobRef], hashed: Iterable[BlobRef]) -> str | None:
        """The problem with the claims of one report, if anything; they count from now on.

        `objects`: those of them that lie where objects do; `hashed`: those that become objects as they are.
        """
        in_store = shared(mine, self._node)
        if any(blob.node is not None for blob in in_store):
            return "an output is said to be on another node"
        if any(blob.node is not None for blob in objects):
            return "an output is not in the object store"
        if any(blob.md5 is None for blob in hashed):
            return "an output has no MD5"
        if any(blob.id in self._missing for blob in in_store):
            return "an output is not in the object store as it was reported"
        ids = {blob.id for blob in mine}
        if len(ids) < len(mine) or not self._taken.isdisjoint(ids):
            return "an output is said to be what belongs to something else"
        self._taken |= ids
        return None
