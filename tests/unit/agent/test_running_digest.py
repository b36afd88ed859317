"""The MD5 of a file that grows is that of all its bytes, however they came."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath import spool
from scheduler.agent.attempts import capture, running_digest
from scheduler.agent.attempts.running_digest import RunningDigest
from scheduler.objects.blobs import BlobStore
from tests.support.eventually import eventually
from tests.support.services.gateway import md5


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_digest, "STEP", 10)
    monkeypatch.setattr(running_digest, "PIECE", 25)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "printed", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_file_that_grows_is_hashed_behind_its_writer(file: int) -> None:
    digest = RunningDigest(file)
    following = asyncio.create_task(digest.follow())
    for size in (1, 9, 100, 3, 64, 11):
        os.write(file, b"x" * size)
        await eventually(lambda: os.fstat(file).st_size - digest.hashed < running_digest.STEP, "most is hashed")
    assert digest.hashed > 0
    assert digest.finish(188) == md5(b"x" * 188)
    await following


def test_what_was_not_followed_is_hashed_at_the_end(file: int) -> None:
    os.write(file, b"abc")
    assert RunningDigest(file).finish(3) == md5(b"abc")


def test_a_file_that_became_shorter_has_no_digest(file: int) -> None:
    os.write(file, b"abcdef")
    digest = RunningDigest(file)
    os.ftruncate(file, 2)
    assert digest.finish(6) is None


async def test_a_digest_that_is_closed_leaves_no_descriptor(file: int) -> None:
    before = descriptors()
    digest = RunningDigest(file)
    following = asyncio.create_task(digest.follow())
    await asyncio.sleep(0)
    digest.close()
    digest.close()
    await following
    assert descriptors() == before


def test_a_digest_is_no_reason_to_copy_the_file_and_another_writer_is(file: int, tmp_path: Path) -> None:
    with contextlib.closing(BlobStore(tmp_path / "blobs")) as blobs:
        os.write(file, b"abc")
        writer = os.open(tmp_path / "printed", os.O_WRONLY)
        digest = RunningDigest(file)
        os.close(writer)
        assert capture.seal(blobs, file) == (3, True)
        assert digest.finish(3) == md5(b"abc")
        writer = os.open(tmp_path / "printed", os.O_WRONLY)
        assert capture.seal(blobs, file) == (3, False)
        os.close(writer)


def test_a_disk_that_cannot_begin_early_changes_nothing(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(spool, "write_back", refuse)
    os.write(file, b"abc" * 10)
    assert RunningDigest(file).finish(30) == md5(b"abc" * 10)
