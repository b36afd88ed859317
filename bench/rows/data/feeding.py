"""Many files into one reader: the reducer's feed against `cat FILES | reader`.

The reader is the same program each time, and touches a byte of every page. `cat` is measured with
the pipe as large as the feed makes it, which shows what splicing saves, and with the pipe
that a shell gives it. The reader counts the bytes.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import compiled
from bench.setting import Setting
from datapath.feed import PIPE_BYTES, Event, Feed, Finished, pipe

KIB = 1024


def lines(setting: Setting) -> Iterator[Line]:
    sink = compiled("sink", setting.scratch)
    for what, count, size, bars in (
        ("64 KiB", setting.size(8192, 1024), 64 * KIB, (Bar(0.9), Bar(goal=1.5))),
        ("2 KiB", setting.size(20_000, 2000), 2 * KIB, (Bar(goal=0.9), Bar(goal=1.5))),
    ):
        directory = write_files(setting.directory(f"feed-{size}"), count, size)
        ours, large, default = (
            gigabytes(run, sink, directory, count * size) for run in (feed, cat_large_pipe, cat_default_pipe)
        )
        fed, same, usual = interleave(setting.size(5, 1), ours, large, default)
        yield Line(f"feed, {count:,} x {what}", "GB/s", fed, bars[0], "cat, same pipe", same)
        yield Line(f"feed, {count:,} x {what}", "GB/s", fed, bars[1], "cat, default pipe", usual)


def write_files(directory: Path, count: int, size: int) -> Path:
    for n in range(count):
        (directory / f"{n:05}").write_bytes(os.urandom(size))
    return directory


def gigabytes(run: Callable[[str, Path, list[str]], int], sink: str, directory: Path, size: int) -> Callable[[], float]:
    names = sorted(os.listdir(directory))
    return turn_of(lambda: run(sink, directory, names), size)


def turn_of(run: Callable[[], int], size: int) -> Callable[[], float]:
    """A turn that measures `run` in GB/s. It fails unless the reader has read all `size` bytes."""

    def turn() -> float:
        read = 0

        def work() -> None:
            nonlocal read
            read = run()

        took = seconds(work)
        if read != size:
            raise RuntimeError(f"the reader got {read} bytes of {size}")
        return size / took / 1e9

    return turn


def feed(sink: str, directory: Path, names: list[str]) -> int:
    """Feed the files to the reader as an agent does; returns the number of bytes read."""
    events: list[Event[str]] = []
    reading, writing = pipe()
    reader = start_reader(sink, reading)
    root = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        feeding = Feed[str](
            writing, lambda name, _: os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root), events.append, len(names)
        )
        for name in names:
            feeding.append(name, os.stat(name, dir_fd=root).st_size)
        feeding.end()
        feeding.join()
    finally:
        os.close(root)
    if events[-1:] != [Finished()]:
        raise RuntimeError(f"the feed ended otherwise than it should: {events}")
    return bytes_read(reader)


def cat_large_pipe(sink: str, directory: Path, names: list[str]) -> int:
    return cat(sink, directory, names, PIPE_BYTES)


def cat_default_pipe(sink: str, directory: Path, names: list[str]) -> int:
    return cat(sink, directory, names, None)


def cat(sink: str, directory: Path, names: list[str], pipe_bytes: int | None) -> int:
    """Feed the files to the reader by `cat`; returns the number of bytes read."""
    reading, writing = os.pipe()
    if pipe_bytes is not None:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, pipe_bytes)
    reader = start_reader(sink, reading)
    writer = subprocess.Popen(["cat", *names], cwd=directory, stdout=writing)
    os.close(writing)
    if writer.wait():
        raise RuntimeError("cat failed")
    return bytes_read(reader)


def start_reader(sink: str, reading: int) -> subprocess.Popen[bytes]:
    """Start the reader of a pipe, whose reading end it takes over."""
    reader = subprocess.Popen([sink], stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    return reader


def bytes_read(reader: subprocess.Popen[bytes]) -> int:
    said, _ = reader.communicate()
    if reader.returncode:
        raise RuntimeError("the reader failed")
    return int(said.split()[0])
