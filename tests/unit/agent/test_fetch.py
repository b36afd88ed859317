"""What an agent gets from others: all of it and nothing else, whatever happens on the way and whoever answers."""

from __future__ import annotations

import gc
import itertools
import os
import queue
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapath import feed, libexec
from datapath.feed import Event, Feed, Finished, SourceLost
from scheduler.agent.blobs import fetch as getting
from scheduler.agent.blobs.feed_sources import Sources
from scheduler.agent.blobs.fetch import (
    Answer,
    BlobGoneError,
    PeerError,
    ResumingRead,
    fetch,
    judge,
    judge_part,
    pieces,
    read_head,
)
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.common.ids import new_id
from scheduler.model.wire import BlobRef, FeedSource
from scheduler.objects.blobs import BlobStore
from tests.support.lines.noise import noise
from tests.support.nodes.peers import Peer, crook, head, keeps_open, passes_on, peer, says

DATA = noise(5 << 20)
DIGITS = noise(2 << 20).hex().encode()  # shrinks to half
NEVER = threading.Event()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("blobs")) as made:
        yield made


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow at once. Patience stays as it is: a slow machine may not fail what should succeed."""
    monkeypatch.setattr(getting, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(getting, "LONGEST_PAUSE", 0.05)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience that is over after some tries, however long those take, for peers that never give what they should."""
    looks = itertools.count()
    monkeypatch.setattr(getting, "time", SimpleNamespace(monotonic=lambda: next(looks) / 50))
    monkeypatch.setattr(getting, "PATIENCE_SECONDS", 0.6)
    monkeypatch.setattr(getting, "SILENCE_SECONDS", 0.2)


@pytest.fixture
def alert(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that hangs is left after a second, and the next one has time enough."""
    monkeypatch.setattr(getting, "SILENCE_SECONDS", 1.0)


@pytest.fixture(params=["near", "far"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Far is where bytes travel squeezed."""
    monkeypatch.setattr(getting, "is_far", lambda peer: request.param == "far")
    return str(request.param)


def fetched(tmp_path: Path, blob: BlobRef, traffic: Traffic | None = None) -> bytes:
    file = tmp_path / new_id()
    with file.open("wb") as target:
        fetch(blob, target.fileno(), traffic or Traffic(), NEVER)
    return file.read_bytes()


def divided(text: bytes, partitions: int) -> bytes:
    """A shuffle file."""
    command = [libexec("mpartition"), "--partitions", str(partitions)]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


class Reducer:
    """A feed of blobs that are elsewhere, into a pipe that is read."""

    def __init__(self, *blobs: BlobRef, part: int | None = None) -> None:
        reading, writing = feed.pipe()
        with tempfile.TemporaryDirectory() as folder:
            store = BlobStore(Path(folder))
            stores = Stores.one(store)  # so everything that has a node is elsewhere
            store.close()
        self.traffic = stores.traffic
        self.events: queue.Queue[Event[FeedSource]] = queue.Queue()
        self.data = b""
        sources = Sources(stores)
        self.feed: Feed[FeedSource] = Feed(
            writing, sources.open, self.events.put, open_ahead=sources.open_ahead, pieces=sources.pieces
        )
        for seq, blob in enumerate(blobs):
            self.feed.append(FeedSource(seq=seq, blob=blob, part=part), blob.size)
        self.feed.end()
        with open(reading, "rb") as pipe:
            self.data = pipe.read()
        self.feed.join()
        sources.close()


def test_a_blob_comes_whole(there: Peer, tmp_path: Path, distance: str) -> None:
    for data in (DATA, DIGITS, b"x"):
        traffic = Traffic()
        assert fetched(tmp_path, there.put(data), traffic) == data
        assert (traffic.fetched, traffic.resumed) == (len(data), 0)


def test_a_blob_that_is_cut_off_goes_on_where_it_was(there: Peer, tmp_path: Path, distance: str) -> None:
    for data in (DATA, DIGITS):
        blob, traffic = there.put(data), Traffic()
        with crook(passes_on(there.port, 100_000), passes_on(there.port, 1), passes_on(there.port)) as way:
            assert fetched(tmp_path, way.ref(blob), traffic) == data
            assert way.connections == 3
        assert traffic.resumed >= 1


def test_a_partition_comes_alone_and_goes_on_where_it_was(there: Peer) -> None:
    lines = [b"%d %s\n" % (number, b"x" * (number % 500)) for number in range(60_000)]
    file = divided(b"".join(lines), 3)
    blob = there.put(file)
    assert isinstance(Reducer(blob, part=3).events.get(timeout=10), SourceLost)  # there is no such partition
    assert isinstance(Reducer(there.put(b"x"), part=0).events.get(timeout=10), SourceLost)  # nor such a file
    alone = [Reducer(blob, part=number) for number in range(3)]
    assert [each.events.get(timeout=10) for each in alone] == [Finished()] * 3
    assert sorted(b"".join(each.data for each in alone).splitlines(keepends=True)) == sorted(lines)
    assert sum(each.traffic.fetched for each in alone) == sum(map(len, lines))
    assert sum(each.traffic.resumed for each in alone) == 0
    cuts = (passes_on(there.port, 100_000), passes_on(there.port, 1), passes_on(there.port, 300), passes_on(there.port))
    with crook(*cuts) as way:
        again = Reducer(way.ref(blob), part=1)
    assert again.data == alone[1].data
    assert again.traffic.resumed >= 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 206 OK\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_a_partition_is_refused(answer: bytes) -> None:
    with pytest.raises(PeerError):
        judge_part(answer, 1000, 0, None)
    assert judge_part(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 1000, 10, 14) == 14
    with pytest.raises(PeerError, match="a partition has 15 bytes"):
        judge_part(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1000, 10, 14)


def test_a_feed_splices_from_sockets_and_goes_on_where_it_was(there: Peer, distance: str) -> None:
    cuts = (passes_on(there.port, 3_000_000), passes_on(there.port, 1), passes_on(there.port, 65536))
    with crook(*cuts, passes_on(there.port)) as way:
        reducer = Reducer(way.ref(there.put(DATA)), there.put(b"between"), way.ref(there.put(DIGITS)))
    assert reducer.data == DATA + b"between" + DIGITS
    assert reducer.events.get(timeout=5) == Finished()
    assert reducer.traffic.resumed >= 1
    assert reducer.traffic.fetched == len(reducer.data)


def test_little_sources_come_through_one_connection(there: Peer) -> None:
    parts = [b"%d " % n * 1000 for n in range(200)]
    with crook(keeps_open(there.port)) as way:
        reducer = Reducer(*(way.ref(there.put(part)) for part in parts))
        assert way.connections == 1
    assert reducer.data == b"".join(parts)
    assert reducer.traffic.fetched == len(reducer.data)


def test_a_connection_that_was_kept_and_is_closed_is_no_loss(there: Peer) -> None:
    parts = [b"%d " % n for n in range(10)]
    with crook(passes_on(there.port)) as way:  # it closes after each answer
        assert Reducer(*(way.ref(there.put(part)) for part in parts)).data == b"".join(parts)
        assert way.connections <= 2 * len(parts)


@pytest.mark.usefixtures("alert")
def test_a_little_source_that_is_cut_off_or_hangs_is_asked_for_again(there: Peer) -> None:
    little = there.put(bytes(range(256)) * 100)
    for hangs in (False, True):
        with crook(
            passes_on(there.port, 1000, hangs), passes_on(there.port, 2000, hangs), passes_on(there.port)
        ) as way:
            assert Reducer(way.ref(little)).data == bytes(range(256)) * 100
            assert way.connections == 3


@pytest.mark.usefixtures("alert")
def test_a_peer_that_hangs_in_the_middle_is_left_for_the_next_try(there: Peer, tmp_path: Path, distance: str) -> None:
    blob = there.put(DATA)
    with crook(passes_on(there.port, 1_000_000, hangs=True), passes_on(there.port)) as way:
        assert fetched(tmp_path, way.ref(blob)) == DATA
        assert way.connections == 2


@pytest.mark.usefixtures("alert")
def test_a_feed_leaves_a_peer_that_hangs(there: Peer) -> None:
    with crook(passes_on(there.port, 1_000_000, hangs=True), passes_on(there.port)) as way:
        assert Reducer(way.ref(there.put(DATA))).data == DATA


def test_a_peer_that_has_not_got_it_is_believed_at_once(there: Peer, tmp_path: Path) -> None:
    gone = there.ref(new_id(), 10)
    with crook(passes_on(there.port)) as way:
        with pytest.raises(BlobGoneError):
            fetched(tmp_path, way.ref(gone))
        reducer = Reducer(way.ref(gone))
        assert way.connections == 2
    lost = reducer.events.get(timeout=5)
    assert isinstance(lost, SourceLost)
    assert isinstance(lost.error, BlobGoneError)


def test_a_blob_of_which_nobody_said_where_it_is_is_gone(tmp_path: Path) -> None:
    for source in (None, "https://127.0.0.1/x"):
        with pytest.raises(BlobGoneError):
            fetched(tmp_path, BlobRef(id=new_id(), size=1, node="far", source=source))


@pytest.mark.usefixtures("brief")
def test_nobody_there_is_an_error_after_a_while(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        fetched(tmp_path, BlobRef(id=new_id(), size=1, node="far", source=f"http://127.0.0.1:{port}/blobs/x"))


def test_a_peer_that_comes_back_within_our_patience_is_found_again(
    there: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getting, "PATIENCE_SECONDS", 20.0)
    blob = there.put(DATA)
    cut = [says(b"")] * 5
    with crook(passes_on(there.port, 2_000_000), *cut, passes_on(there.port)) as way:
        assert fetched(tmp_path, way.ref(blob)) == DATA
        assert way.connections == 7


RANGE = {"Content_Range": "bytes 0-9/10"}
LIES = {
    "nothing": b"",
    "noise": noise(100_000),
    "no end of header": b"HTTP/1.1 206 OK\r\n" + b"a: b\r\n" * 20_000,
    "half a header": b"HTTP/1.1 206 OK\r\nContent-Le",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "trouble": head("500 Internal Server Error") + b"oops",
    "not the range": head("200 OK", Content_Length="10") + b"0123456789",
    "shorter": head(Content_Length="9", **RANGE) + b"012345678",
    "longer": head(Content_Length="11", **RANGE) + b"0123456789a",
    "no length": head(**RANGE) + b"0123456789",
    "another size": head(Content_Length="10", Content_Range="bytes 0-9/11") + b"0123456789",
    "other bytes": head(Content_Length="10", Content_Range="bytes 1-10/10") + b"0123456789",
    "an encoding nobody asked for": head(Content_Length="10", Content_Encoding="zstd", **RANGE) + b"0123456789",
    "an encoding nobody knows": head(Content_Length="10", Content_Encoding="gzip", **RANGE) + b"0123456789",
    "chunks": head(Transfer_Encoding="chunked", Content_Length="10", **RANGE) + b"a\r\n0123456789\r\n0\r\n\r\n",
    "an end too early": head(Content_Length="10", **RANGE) + b"012",
    "a body that hangs": head(Content_Length="10", **RANGE),
}


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_not_what_was_asked_for_is_not_taken(lie: str, tmp_path: Path) -> None:
    gc.collect()  # what earlier tests have left closes its files now, and not in between
    before = len(os.listdir("/proc/self/fd"))
    blob = BlobRef(id=new_id(), size=10, node="far", source="http://127.0.0.1/blobs/x")
    hangs = lie == "a body that hangs"
    with crook(says(LIES[lie], hangs)) as way:
        refused = way.ref(blob)
        if lie != "an end too early":  # from that, each try gets three more bytes
            with pytest.raises(OSError, match="peer"):
                fetched(tmp_path, refused)
            assert way.connections > 1  # it might have passed
        lost = Reducer(refused).events.get(timeout=10)
    assert isinstance(lost, SourceLost)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_of_more_than_was_promised_nothing_is_taken(tmp_path: Path) -> None:
    blob = BlobRef(id=new_id(), size=10, node="far", source="http://127.0.0.1/blobs/x")
    with crook(says(head(Content_Length="10", **RANGE) + b"0123456789" + noise(1 << 20))) as way:
        assert fetched(tmp_path, way.ref(blob)) == b"0123456789"
        assert Reducer(way.ref(blob)).data == b"0123456789"


def test_what_unpacks_to_more_than_was_promised_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getting, "is_far", lambda peer: True)
    size = 2 << 20
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    blob = BlobRef(id=new_id(), size=size, node="far", source="http://127.0.0.1/blobs/x")
    whole = {"Content_Range": f"bytes 0-{size - 1}/{size}", "Content_Encoding": "zstd"}
    with crook(says(head(**whole) + bomb)) as way:
        assert fetched(tmp_path, way.ref(blob)) == bytes(size)
        assert Reducer(way.ref(blob)).data == bytes(size)
    with crook(says(head(**whole) + noise(100_000))) as way:
        with pytest.raises(OSError, match="gives nothing"):
            fetched(tmp_path, way.ref(blob))
        assert isinstance(Reducer(way.ref(blob)).events.get(timeout=10), SourceLost)


def test_nobody_waits_for_a_peer_any_longer_than_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getting, "PATIENCE_SECONDS", 60.0)
    blob = BlobRef(id=new_id(), size=10, node="far", source="http://127.0.0.1/blobs/x")
    stopped = threading.Event()
    tried = threading.Event()

    def refuse(connection: socket.socket) -> None:
        tried.set()

    with crook(refuse) as way:
        pursuit = ResumingRead(way.ref(blob), Traffic(), stopped)
        errors: list[OSError] = []

        def pursue() -> None:
            try:
                pursuit.open(0)
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=pursue)
        thread.start()
        assert tried.wait(10)
        stopped.set()
        thread.join(10)
    assert [str(error) for error in errors] == ["the transfer was cancelled"]


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.binary(max_size=40))
def test_of_a_header_in_any_pieces_not_one_byte_more_is_taken(lines: list[bytes], body: bytes) -> None:
    told = b"".join(line.replace(b"\r", b"").replace(b"\n", b"") + b"x\r\n" for line in lines) + b"x\r\n\r\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(told + body)
        theirs.shutdown(socket.SHUT_WR)
        assert read_head(ours) == told
        assert ours.makefile("rb").read() == body


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_no_answer_breaks_more_than_itself(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        try:
            squeezed = judge(read_head(ours), 10, 0, True)
            taken = b"".join(pieces(Answer(ours, squeezed), 10))
        except (BlobGoneError, PeerError):
            return
    assert len(taken) <= 10
