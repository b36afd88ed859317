"""Micro-benchmarks of the data path: single mechanisms."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from datapath import feed, passing, split, spool
from datapath.passing import Channel, Kind
from datapath.split import By

MIB = 1 << 20
KEYS = [hashlib.sha1(b"%d" % n).hexdigest()[: 3 + n % 20].encode() for n in range(10_000)]


@pytest.fixture
def text(tmp_path: Path) -> Iterator[int]:
    """A descriptor of 8 MB of lines."""
    line = b"".join(b"%s\t%d\tsome more text in this line\n" % (key, n) for n, key in enumerate(KEYS))
    (tmp_path / "text").write_bytes(line * (8 * MIB // len(line)))
    fd = os.open(tmp_path / "text", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[list[int]]:
    fds = [os.open(tmp_path / f"out{n}", os.O_RDWR | os.O_CREAT) for n in range(4)]
    yield fds
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("by", [By.MD5, By.XXH3])
@pytest.mark.parametrize("fields", [[1], [2, 1]])
def test_split_of_eight_megabytes(
    benchmark: BenchmarkFixture, text: int, outputs: list[int], by: By, fields: list[int]
) -> None:
    def work() -> int:
        for fd in outputs:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        os.lseek(text, 0, os.SEEK_SET)
        return split.split(text, outputs, fields, by=by)

    assert benchmark(work) > 100_000


@pytest.mark.parametrize("lanes", [None, 1])
def test_md5_of_ten_thousand_keys(benchmark: BenchmarkFixture, lanes: int | None) -> None:
    assert len(benchmark(split.md5_first, KEYS, lanes)) == len(KEYS)


def test_xxh3_of_ten_thousand_keys(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(split.xxh3_64, KEYS)) == len(KEYS)


@pytest.mark.parametrize(("count", "size"), [(1, 8 * MIB), (128, 64 * 1024), (2000, 2048)])
def test_feed_of_files_into_a_pipe(benchmark: BenchmarkFixture, tmp_path: Path, count: int, size: int) -> None:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(size))

    def work() -> int:
        reading, writing = feed.pipe()
        feeding = feed.Feed[Path](writing, lambda source, _: os.open(source, os.O_RDONLY), lambda _: None, count)
        for _ in range(count):
            feeding.append(path, size)
        feeding.end()
        total = drain(reading)
        feeding.join()
        return total

    assert benchmark(work) == count * size


def drain(fd: int) -> int:
    total, buffer = 0, bytearray(MIB)
    while got := os.readv(fd, [buffer]):
        total += got
    os.close(fd)
    return total


def test_spool_of_a_file_into_a_file(benchmark: BenchmarkFixture, text: int, outputs: list[int]) -> None:
    def work() -> int:
        os.lseek(text, 0, os.SEEK_SET)
        os.ftruncate(outputs[0], 0)
        os.lseek(outputs[0], 0, os.SEEK_SET)
        return spool.move(text, outputs[0])

    assert benchmark(work) == os.fstat(text).st_size


def test_a_packet_with_three_descriptors_sent_and_received(benchmark: BenchmarkFixture) -> None:
    ours, theirs = passing.pair()
    other = Channel(theirs)
    fds = (0, 1, 2)

    def work() -> int:
        ours.send(Kind.RUN, task=1, payload=b"MANTA_INPUT_FILE=/manta/jill/stor/x\0", fds=fds)
        message = other.receive()
        assert message is not None
        for fd in message.fds:
            os.close(fd)
        return len(message.fds)

    assert benchmark(work) == 3
    ours.close()
    other.close()
