"""Files that tasks write into become blobs that nobody can change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.agent.attempts import capture
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.capture import Scratch
from scheduler.agent.attempts.reports import Reporter
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import PoolSpec, TaskLease
from scheduler.objects.blobs import BlobStore
from tests.support.ids import id_of

SPEC = PoolSpec(
    pool=1, job=id_of("j"), login="jill", phase=0, blocking=False, exec="", memory_mb=128, disk_gb=2, last=True,
    next_reducers=0, token="t",
)  # fmt: skip
LEASE = TaskLease(task=1, uuid=id_of("u"), attempt=1, base="/jill/stor/x", input="/jill/stor/x")


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[BlobStore]:
    store = BlobStore(tmp_path)
    yield store
    store.close()


def written(blobs: BlobStore, data: bytes) -> int:
    fd = blobs.create()
    os.write(fd, data)
    return fd


def test_a_sealed_file_is_the_same_file_and_can_only_be_read(blobs: BlobStore) -> None:
    fd = written(blobs, b"text")
    before = os.fstat(fd).st_ino
    capture.seal(blobs, fd)
    assert os.fstat(fd).st_ino == before  # nothing was copied
    assert os.pread(fd, 99, 0) == b"text"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(fd, b"x", 0)
    os.close(fd)


def test_a_file_that_somebody_can_still_write_is_copied(blobs: BlobStore) -> None:
    fd = written(blobs, b"text" * 1000)
    kept = os.dup(fd)
    capture.seal(blobs, fd)
    os.pwrite(kept, b"evil", 0)
    assert os.pread(fd, 9999, 0) == b"text" * 1000
    assert not os.get_inheritable(fd)
    os.close(kept)
    os.close(fd)


def test_a_file_may_be_sealed_again_that_has_more_blocks_than_its_bytes(blobs: BlobStore) -> None:
    fd = written(blobs, b"text")
    capture.seal(blobs, fd)
    os.fchmod(fd, 0o644)
    with open(f"/proc/self/fd/{fd}", "r+b") as file:
        reserve = ["fallocate", "--keep-size", "--length", "1M", f"/proc/self/fd/{file.fileno()}"]
        subprocess.run(reserve, pass_fds=[file.fileno()], check=True)
    capture.seal(blobs, fd)
    assert os.pread(fd, 99, 0) == b"text"
    os.close(fd)


def test_a_sealed_file_is_never_used_again(blobs: BlobStore) -> None:
    scratch = Scratch(blobs)
    fd = scratch.take()
    os.write(fd, b"text")
    capture.seal(blobs, fd)
    scratch.give_back(fd)
    fresh = scratch.take()
    assert os.write(fresh, b"x") == 1
    scratch.give_back(fresh)
    scratch.close()


def test_what_was_given_back_is_empty_when_it_is_taken_again(blobs: BlobStore) -> None:
    scratch = Scratch(blobs)
    fd = scratch.take()
    os.write(fd, b"text")
    scratch.give_back(fd)
    again = scratch.take()
    assert (again, os.fstat(again).st_size, os.lseek(again, 0, os.SEEK_CUR)) == (fd, 0, 0)
    os.close(again)
    scratch.close()


def test_a_file_of_an_instance_that_died_is_never_used_again(blobs: BlobStore) -> None:
    """Its tasks live a moment longer than its lackey, and what they print then is nobody's."""
    scratch = Scratch(blobs)
    reporter = Reporter(Stores.one(blobs), scratch, SPEC, 1 << 30)
    attempt = Attempt(1, LEASE, scratch.take(), scratch.take(), orphaned=True)
    late = os.dup(attempt.stdout)
    reporter.release(attempt)
    fresh = [scratch.take() for _ in range(2)]
    os.write(late, b"late")
    assert [os.fstat(fd).st_size for fd in fresh] == [0, 0]
    for fd in (late, *fresh):
        os.close(fd)
    scratch.close()
