"""Spooling: a stream lands whole in a file, and what prevents that has a name."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath import spool

DATA = os.urandom(700_001)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    yield fd
    os.close(fd)


def written(fd: int) -> bytes:
    return os.pread(fd, 10_000_000, 0)


def pipe_of(data: bytes) -> int:
    """The reading end of a pipe that a thread fills and closes."""
    reading, writing = os.pipe()

    def fill() -> None:
        with open(writing, "wb") as end:
            end.write(data)

    threading.Thread(target=fill).start()
    return reading


def test_a_pipe_is_poured_into_a_file_and_counted(target: int) -> None:
    source = pipe_of(DATA)
    assert spool.move(source, target) == len(DATA)
    os.close(source)
    assert written(target) == DATA


def test_a_file_is_poured_from_where_it_stands(target: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with open(tmp_path / "a", "rb", buffering=0) as source:
        source.seek(1)
        assert spool.move(source.fileno(), target) == len(DATA) - 1
    assert written(target) == DATA[1:]


def test_a_file_that_says_that_it_is_empty_is_read_all_the_same(target: int) -> None:
    with open("/proc/self/status", "rb") as source:
        assert spool.move(source.fileno(), target) > 0
    assert written(target).startswith(b"Name:")


def test_a_destination_that_appends_cannot_be_spliced_and_is_written(tmp_path: Path) -> None:
    source = pipe_of(DATA)
    with open(tmp_path / "a", "ab") as out:
        assert spool.move(source, out.fileno()) == len(DATA)
    os.close(source)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_source_that_does_not_block_is_waited_for(target: int) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    moved: list[int] = []
    pouring = threading.Thread(target=lambda: moved.append(spool.move(reading, target)))
    pouring.start()
    os.write(writing, b"late")
    os.close(writing)
    pouring.join()
    os.close(reading)
    assert moved == [4]


def test_a_full_disk_is_reported_as_that(target: int) -> None:
    source = pipe_of(b"x")
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as raised:
        spool.move(source, full.fileno())
    os.close(source)
    assert raised.value.errno == errno.ENOSPC


def test_the_file_size_limit_is_an_error_and_no_signal(tmp_path: Path) -> None:
    # A process of its own: the limit is for a whole process, and Python at rest ignores the signal.
    program = (
        "import os, signal, sys; from datapath import spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "try: spool.move(0, 1)\n"
        "except OSError as why: sys.exit(why.errno)\n"
    )
    limit = 100_000
    with open(tmp_path / "out", "wb") as out:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            input=DATA,
            stdout=out,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            check=False,
        )
    assert ended.returncode == errno.EFBIG
    assert (tmp_path / "out").stat().st_size == limit


@pytest.mark.parametrize("through", ["pipe", "file"])
def test_tee_gives_everything_to_both(target: int, tmp_path: Path, through: str) -> None:
    source = pipe_of(DATA)
    if through == "file":
        with open(tmp_path / "copy", "wb") as copy:
            assert spool.tee(source, target, copy.fileno()) == len(DATA)
        second = (tmp_path / "copy").read_bytes()
    else:
        reading, writing = os.pipe()
        got: list[bytes] = []

        def read() -> None:
            with open(reading, "rb") as end:
                got.append(end.read())

        reader = threading.Thread(target=read)
        reader.start()
        assert spool.tee(source, target, writing) == len(DATA)
        os.close(writing)
        reader.join()
        second = got[0]
    os.close(source)
    assert written(target) == DATA == second


@pytest.mark.parametrize("source_is", ["pipe", "file"])
def test_tee_goes_on_saving_when_the_reader_of_the_copy_has_gone(target: int, tmp_path: Path, source_is: str) -> None:
    (tmp_path / "a").write_bytes(DATA)
    source = pipe_of(DATA) if source_is == "pipe" else os.open(tmp_path / "a", os.O_RDONLY)
    reading, writing = os.pipe()
    os.close(reading)
    assert spool.tee(source, target, writing) == len(DATA)
    os.close(source)
    os.close(writing)
    assert written(target) == DATA


def test_syncfs_returns_after_a_flush_and_names_a_bad_descriptor(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    spool.syncfs(directory)
    os.close(directory)
    with pytest.raises(OSError, match="Bad file descriptor"):
        spool.syncfs(directory)


def test_writing_back_changes_nothing_and_names_a_bad_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    spool.write_back(fd, 5000, 1 << 40)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"x" * 100_000
    with pytest.raises(OSError, match="Bad file descriptor"):
        spool.write_back(fd, 0, 0)
