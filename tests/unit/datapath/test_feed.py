"""The reducer's feed: every source whole and in order, whatever fails on the way."""

from __future__ import annotations

import fcntl
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datapath import feed
from datapath.feed import Event, Feed, Finished, ReaderStopped, Result, RoomAgain, SourceLost

WAIT = 20  # seconds until a test that hangs fails


class Reading(threading.Thread):
    """A reader of the pipe that keeps what it reads, up to `limit` bytes, and then closes its end."""

    def __init__(self, fd: int, limit: int | None = None) -> None:
        super().__init__()
        self.fd, self.limit, self.data = fd, limit, bytearray()
        self.start()

    def run(self) -> None:
        with open(self.fd, "rb", buffering=0) as end:
            while self.limit is None or len(self.data) < self.limit:
                piece = end.read(65536 if self.limit is None else min(65536, self.limit - len(self.data)))
                if not piece:
                    return
                self.data += piece

    def result(self) -> bytearray:
        self.join(WAIT)
        assert not self.is_alive(), "the pipe was never closed"
        return self.data


class Bench:
    """A feed of files in a folder, with its events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: queue.Queue[Event[str]] = queue.Queue()
        self.opened: list[tuple[str, int]] = []
        self.reading_end, self.writing_end = feed.pipe()
        self.feed: Feed[str] | None = None

    def start(
        self, open_source: Callable[[str, int], int] | None = None, room: int = feed.ROOM, **more: object
    ) -> Feed[str]:
        self.feed = Feed(self.writing_end, open_source or self.open, self.hear, room=room, **more)
        return self.feed

    def hear(self, event: Event[str]) -> None:
        os.fstat(self.writing_end)  # the pipe is still open when a last event is told
        self.events.put(event)

    def open(self, source: str, offset: int) -> int:
        self.opened.append((source, offset))
        return os.open(self.folder / source, os.O_RDONLY)

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return name

    def event(self) -> Event[str]:
        return self.events.get(timeout=WAIT)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    before = len(os.listdir("/proc/self/fd"))
    bench = Bench(tmp_path)
    yield bench
    if bench.feed is not None:
        bench.feed.close()
        bench.feed.join()
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the ends that a test did not use


def test_a_pipe_is_raised_to_a_megabyte_where_allowed() -> None:
    reading, writing = feed.pipe()
    try:
        assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) == feed.PIPE_BYTES
        assert os.get_blocking(reading)
        assert not os.get_inheritable(reading)
        assert not os.get_inheritable(writing)
    finally:
        os.close(reading)
        os.close(writing)


def test_splice_moves_a_range_of_a_file_and_says_when_it_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    reading, writing = feed.pipe()
    with open(tmp_path / "a", "rb") as source:
        assert feed.splice(source.fileno(), writing, 2, 3) == (Result.DONE, 3)
        assert feed.splice(source.fileno(), writing, 8, 100) == (Result.EOF, 2)
    os.close(writing)
    assert Reading(reading).result() == b"23489"


def test_splice_tells_a_closed_reader_from_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    reading, writing = feed.pipe()
    with open(tmp_path / "a", "rb") as source:
        with pytest.raises(IsADirectoryError):
            directory = os.open(tmp_path, os.O_RDONLY)
            try:
                feed.splice(directory, writing, 0, 1)
            finally:
                os.close(directory)
        os.close(reading)
        assert feed.splice(source.fileno(), writing, 0, 1) == (Result.CLOSED, 0)
    os.close(writing)


@pytest.mark.parametrize("size", [1, 100, 1021, 4096, 32 * 1024, 3_000_000])
def test_sources_arrive_whole_and_in_the_order_appended(bench: Bench, size: int) -> None:
    parts = [bytes([65 + n]) * (size + n) for n in range(7)]
    reader, running = Reading(bench.reading_end), bench.start()
    for n, part in enumerate(parts):
        running.append(bench.write(str(n), part), len(part))
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == b"".join(parts)
    assert running.moved == sum(map(len, parts))


def test_small_and_large_sources_may_alternate(bench: Bench) -> None:
    parts = [os.urandom(7 if n % 3 else 200_000 + n) for n in range(100)]
    reader, running = Reading(bench.reading_end), bench.start()
    for n, part in enumerate(parts):
        running.append(bench.write(str(n), part), len(part))
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == b"".join(parts)


@pytest.mark.parametrize("size", [1, 5000])
def test_a_source_without_a_newline_at_its_end_gets_one_if_that_is_wanted(bench: Bench, size: int) -> None:
    started = bench.start(ends_lines=b"\n")
    data = [b"a" * size, b"b" * size + b"\n", b"c" * size, b"\n", b"d"]
    for number, each in enumerate(data * 20):  # more than one batch
        started.append(bench.write(str(number), each), len(each))
    started.end()
    assert Reading(bench.reading_end).result() == b"".join(each.rstrip(b"\n") + b"\n" for each in data * 20)
    assert bench.event() == Finished()
    assert started.moved == sum(len(each.rstrip(b"\n")) + 1 for each in data * 20)


def test_ranges_of_sources_are_fed(bench: Bench) -> None:
    started = bench.start(pieces=lambda source, size, fd: [(2, 5)])
    for name in ("first", "second"):
        started.append(bench.write(name, name.encode()), 5)
    started.end()
    assert Reading(bench.reading_end).result() == b"rstcon"
    assert bench.event() == Finished()


def test_a_source_in_pieces_goes_on_in_the_middle_of_one(bench: Bench) -> None:
    copies = iter([b"012345678", b"0123", b"0123456789"])
    offsets: list[int] = []

    def open_copy(source: str, offset: int) -> int:
        offsets.append(offset)
        return bench.open(bench.write(f"copy {len(offsets)}", next(copies)), offset)

    running = bench.start(open_copy, pieces=lambda source, size, fd: [(8, 10), (3, 3), (2, 6), (0, 1)])
    running.append("in pieces", 10)
    running.end()
    assert Reading(bench.reading_end).result() == b"89" + b"2345" + b"0"
    assert bench.event() == Finished()
    assert (offsets, running.moved) == ([0, 1, 1], 7)


def test_a_source_of_no_pieces_is_fed_as_nothing(bench: Bench) -> None:
    running = bench.start(pieces=lambda source, size, fd: [] if source == "none" else [(0, size)])
    for name in ("some", "none", "more"):
        running.append(bench.write(name, name.encode()), 4)
    running.end()
    assert Reading(bench.reading_end).result() == b"somemore"
    assert bench.event() == Finished()


def test_an_empty_source_is_never_opened(bench: Bench) -> None:
    reader, running = Reading(bench.reading_end), bench.start()
    running.append("there is no such file", 0)
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == b""
    assert bench.opened == []


def test_only_the_promised_size_of_a_source_is_fed(bench: Bench) -> None:
    reader, running = Reading(bench.reading_end), bench.start()
    running.append(bench.write("a", b"abcdef"), 3)
    running.append(bench.write("b", b"x" * 100_000 + b"yyy"), 100_000)
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == b"abc" + b"x" * 100_000


def test_a_stream_from_another_node_is_fed_like_a_file(bench: Bench) -> None:
    ours, theirs = socket.socketpair()
    data = os.urandom(300_000)

    def send() -> None:
        theirs.sendall(data)
        theirs.close()

    sender = threading.Thread(target=send)
    sender.start()
    reader, running = Reading(bench.reading_end), bench.start(lambda _source, _offset: os.dup(ours.fileno()))
    running.append("stream", 5)
    running.append("the same stream", len(data) - 5)
    running.end()
    assert bench.event() == Finished()
    sender.join()
    ours.close()
    assert reader.result() == data


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_source_that_fails_in_the_middle_goes_on_at_that_byte_in_another_copy(bench: Bench, size: int) -> None:
    data = os.urandom(size)
    bench.write("node7", data[: size // 3])
    bench.write("node9", data)
    asked: list[int] = []

    def open_source(source: str, offset: int) -> int:
        asked.append(offset)
        return bench.open("node7" if len(asked) == 1 else "node9", offset)

    reader, running = Reading(bench.reading_end), bench.start(open_source)
    running.append("c", size)
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == data
    assert asked == [0, size // 3]


def test_a_source_without_another_copy_is_lost_and_told_before_the_pipe_closes(bench: Bench) -> None:
    bench.write("whole", b"abc")
    bench.write("half", b"de")
    reader, running = Reading(bench.reading_end), bench.start()
    running.append("whole", 3)
    running.append("half", 5)
    event = bench.event()
    assert isinstance(event, SourceLost)
    assert (event.source, event.offset) == ("half", 2)
    assert str(event.error) == "[Errno 61] the source ended too early"
    assert reader.result() == b"abcde"


def test_a_source_that_does_not_open_is_lost_after_those_before_it_went_in(bench: Bench) -> None:
    bench.write("a", b"abc")
    reader, running = Reading(bench.reading_end), bench.start()
    running.append("a", 3)
    running.append("gone", 3)
    event = bench.event()
    assert isinstance(event, SourceLost)
    assert (event.source, event.offset, type(event.error)) == ("gone", 0, FileNotFoundError)
    assert reader.result() == b"abc"


def test_a_reader_that_stops_early_ends_the_feed_without_error(bench: Bench) -> None:
    bench.write("a", b"line\n" * 1_000_000)
    reader, running = Reading(bench.reading_end, limit=5), bench.start()
    running.append("a", 5_000_000)
    assert bench.event() == ReaderStopped()
    assert reader.result() == b"line\n"
    running.append("more", 1)  # dropped
    running.join()


def test_a_feed_waits_for_sources_until_its_input_ends(bench: Bench) -> None:
    reader, running = Reading(bench.reading_end), bench.start()
    running.append(bench.write("a", b"one "), 4)
    running.append(bench.write("b", b"two"), 3)
    assert bench.events.empty()
    running.end()
    running.end()
    assert bench.event() == Finished()
    assert reader.result() == b"one two"
    with pytest.raises(ValueError, match="its input has ended"):
        running.append("c", 1)


def test_a_feed_blocked_on_a_full_pipe_can_be_closed(bench: Bench) -> None:
    bench.write("a", b"x" * 3_000_000)
    running = bench.start()
    running.append("a", 3_000_000)
    with open(bench.reading_end, "rb", buffering=0) as reader:
        assert reader.read(1) == b"x"  # so it has begun, and nobody will read the rest
        running.close()
        running.join()
    assert bench.events.empty()


def test_a_feed_blocked_on_a_silent_stream_can_be_closed(bench: Bench) -> None:
    ours, theirs = socket.socketpair()
    opened = threading.Event()

    def open_source(_source: str, _offset: int) -> int:
        opened.set()
        return os.dup(ours.fileno())

    running = bench.start(open_source)
    running.append("stream", 1_000_000)
    assert opened.wait(WAIT)
    running.close()
    running.join()
    ours.close()
    theirs.close()
    os.close(bench.reading_end)


def test_the_queue_is_bounded_and_tells_when_it_has_room_again(bench: Bench) -> None:
    bench.write("big", b"x" * 4_000_000)
    bench.write("small", b"y")
    running = bench.start(room=4)
    running.append("big", 4_000_000)
    first = os.read(bench.reading_end, 1)  # the feed has taken the first source: it is busy with it
    for _ in range(4):
        running.append("small", 1)
    assert running.room == 0
    with pytest.raises(BufferError, match="4 sources wait already"):
        running.append("small", 1)
    reader = Reading(bench.reading_end)
    assert bench.event() == RoomAgain()
    assert running.room == 4
    running.end()
    assert bench.event() == Finished()
    assert first + reader.result() == b"x" * 4_000_000 + b"yyyy"
