"""A blob store makes paths of UUIDs and of nothing else, whatever its callers have checked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.agent.blobs.cache import Cache
from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_id
from scheduler.objects.blobs import BlobStore

HOSTILE = (
    "../../etc/hostname",
    "../victim",
    "..",
    ".",
    "",
    "/etc/hostname",
    "aa/../../victim",
    "victim",
    "x" * 36,
    new_id().upper(),
    new_id() + "\n",
    new_id() + "/../victim",
    "\0" + new_id()[1:],
    "０" * 8 + new_id()[8:],
)


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[BlobStore]:
    store = BlobStore(tmp_path / "blobs")
    yield store
    store.close()


def on_a_file(blobs: BlobStore, use: Callable[[int], object]) -> None:
    fd = blobs.create()
    try:
        use(fd)
    finally:
        os.close(fd)


USES: dict[str, Callable[[BlobStore, str], object]] = {
    "path": lambda blobs, blob: blobs.path(blob),
    "open": lambda blobs, blob: blobs.open(blob),
    "open_in_thread": lambda blobs, blob: blobs.open_in_thread(blob),
    "open_soon": lambda blobs, blob: asyncio.run(blobs.open_soon(blob, 1)),
    "status": lambda blobs, blob: blobs.status(blob),
    "discard": lambda blobs, blob: blobs.discard([blob]),
    "publish": lambda blobs, blob: on_a_file(blobs, lambda fd: blobs.publish(fd, blob)),
    "the stores of an agent": lambda blobs, blob: Stores.one(blobs).discard([blob]),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_is_no_id_is_refused_and_touches_nothing(
    tmp_path: Path, blobs: BlobStore, use: Callable[[BlobStore, str], object]
) -> None:
    victims = [tmp_path / "victim", blobs.root / "victim"]
    for victim in victims:
        victim.write_text("here")
    for hostile in HOSTILE:
        with pytest.raises(ValueError, match="not the id of a blob"):
            use(blobs, hostile)
    assert [victim.read_text() for victim in victims] == ["here", "here"]
    assert list(blobs.older_than(1 << 60)) == []


def test_a_file_that_is_no_blob_is_not_listed_as_one(tmp_path: Path, blobs: BlobStore) -> None:
    (blobs.root / "ab").mkdir()
    (blobs.root / "ab" / ".nfs0001").write_text("of the file system's own")
    (blobs.root / "ab" / "notes").write_text("of the operator's")
    assert list(blobs.older_than(1 << 60)) == []
    cache = Cache(blobs.root, lambda blob, fd, stop: None)  # which empties itself
    cache.blobs.close()
    assert (blobs.root / "ab" / "notes").exists()
