import asyncio
import base64
import hashlib
import os
import tempfile

import pytest

from datapath import spool
from scheduler.common.ids import new_blob_id, new_id
from scheduler.objects.blobs import BlobStore


@pytest.fixture
def blobs(tmp_path):
    store = BlobStore(tmp_path / "blobs")
    yield store
    store.close()


def put(blobs: BlobStore, body: bytes) -> str:
    fd = blobs.create()
    blob = new_id()
    os.write(fd, body)
    blobs.publish(fd, blob)
    os.close(fd)
    return blob


def everything(blobs: BlobStore) -> set[str]:
    return set(blobs.older_than(1 << 60))


def test_a_blob_is_there_from_its_publication_on(blobs):
    fd = blobs.create()
    os.write(fd, b"hello")
    assert everything(blobs) == set()
    blob = new_id()
    blobs.publish(fd, blob)
    os.close(fd)
    with os.fdopen(blobs.open(blob), "rb") as file:
        assert file.read() == b"hello"
    assert everything(blobs) == {blob}


def test_a_blob_that_was_never_published_leaves_nothing(blobs):
    os.close(blobs.create())
    assert everything(blobs) == set()


def test_a_small_file_is_sealed_hashed_and_named_at_once(blobs):
    fd, blob = blobs.create(), new_blob_id()
    os.write(fd, b"hello")
    assert blobs.keep(fd, blob, hashed=True) == (5, base64.b64encode(hashlib.md5(b"hello").digest()).decode())
    assert (blobs.status(blob).st_mode & 0o777, os.pread(fd, 9, 0)) == (0o444, b"hello")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(fd, b"x", 0)
    os.close(fd)
    fd, other = blobs.create(), new_blob_id()
    os.write(fd, b"hello")
    assert blobs.keep(fd, other, hashed=False) == (5, None)
    os.close(fd)
    assert everything(blobs) == {blob, other}


def test_what_is_no_small_file_of_this_store_alone_is_not_kept_at_once(blobs, tmp_path):
    """It is large; another process may still write to it; it lies elsewhere; or it has a name to be renamed."""
    large, shared, empty = blobs.create(), blobs.create(), blobs.create()
    os.truncate(large, 1 << 20)
    os.write(shared, b"hello")
    writer = os.dup(shared)
    for fd in (large, shared):
        assert blobs.keep(fd, new_blob_id(), hashed=True) is None
    os.close(writer)
    assert blobs.keep(empty, new_blob_id(), hashed=True).size == 0
    with tempfile.TemporaryFile(dir="/dev/shm") as elsewhere:
        elsewhere.write(b"hello")
        elsewhere.flush()
        away = blobs.root.stat().st_dev != os.fstat(elsewhere.fileno()).st_dev
        assert not away or blobs.keep(elsewhere.fileno(), new_blob_id(), hashed=True) is None
    blobs.nameless = False
    assert blobs.keep(shared, new_blob_id(), hashed=True) is None
    for fd in (large, shared, empty):
        os.close(fd)
    assert everything(blobs) == set()


def test_the_first_blob_of_a_shard_makes_it_though_another_process_does_so_as_well(blobs, monkeypatch):
    made = os.mkdir
    shard = blobs.root / "00"

    def twice(*args, **options):
        made(*args, **options)
        made(*args, **options)

    monkeypatch.setattr(os, "mkdir", twice)
    names = [f"00{new_id()[2:]}" for _ in range(2)]
    assert not shard.exists()
    for name in names:
        fd = blobs.create()
        blobs.publish(fd, name)
        os.close(fd)
    assert everything(blobs) == set(names)
    assert shard.stat().st_mode & 0o777 == 0o711


def test_a_published_blob_is_read_only_to_its_readers(blobs):
    blob = put(blobs, b"x")
    assert os.stat(blobs.path(blob)).st_mode & 0o777 == 0o444
    with pytest.raises(OSError):
        os.write(blobs.open(blob), b"y")


def test_discarding_twice_is_no_error_and_an_open_reader_goes_on(blobs):
    blob = put(blobs, b"hello")
    fd = blobs.open(blob)
    blobs.discard([blob, blob, new_id()])
    assert os.read(fd, 10) == b"hello"
    os.close(fd)
    with pytest.raises(FileNotFoundError):
        blobs.open(blob)


def test_older_blobs_are_those_from_before(blobs):
    blob = put(blobs, b"x")
    at = os.stat(blobs.path(blob)).st_ctime_ns // 1_000_000
    assert list(blobs.older_than(at)) == []
    assert list(blobs.older_than(at + 1)) == [blob]


async def test_many_waiters_share_few_flushes(blobs, monkeypatch):
    begun = []
    monkeypatch.setattr(spool, "syncfs", begun.append)
    first = asyncio.ensure_future(blobs.durable())
    await asyncio.sleep(0)
    await asyncio.gather(first, *(blobs.durable() for _ in range(50)))
    assert len(begun) == 2  # the one that ran, and one for all who came meanwhile


async def test_a_flush_that_fails_is_told_to_all_who_wait_for_it(blobs, monkeypatch):
    def broken(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(spool, "syncfs", broken)
    results = await asyncio.gather(*(blobs.durable() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results)
