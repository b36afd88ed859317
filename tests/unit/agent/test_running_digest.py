"""The MD5 of a file that grows is that of all its bytes, however they came."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath import spool
from scheduler.agent.attempts import running_digest
from scheduler.agent.attempts.running_digest import RunningDigest
from tests.support.eventually import eventually


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_digest, "STEP", 10)
    monkeypatch.setattr(running_digest, "PIECE", 25)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "printed", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


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


def test_the_file_can_be_sealed_while_it_has_a_digest(file: int) -> None:
    """The digest's own descriptor is no reason for a copy: nothing can write through it."""
    digest = RunningDigest(file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(digest.file, b"x")
    digest.close()


def test_a_disk_that_cannot_begin_early_changes_nothing(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(spool, "write_back", refuse)
    os.write(file, b"abc" * 10)
    assert RunningDigest(file).finish(30) == md5(b"abc" * 10)
