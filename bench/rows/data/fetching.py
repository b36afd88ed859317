"""A reducer's input from another node, against `curl URLS | reader` and against files of its own.

The other node is another process: an agent's exchange, which sends the same files to both. The
reader is that of `feed`, and counts the bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from bench.measure import Bar, Line, interleave
from bench.peers import compiled, installed, missing
from bench.rows.data.feeding import bytes_read, start_reader, turn_of
from bench.setting import Setting
from datapath.feed import PIPE_BYTES, Event, Feed, Finished, pipe
from scheduler.agent.blobs.feed_sources import Sources
from scheduler.agent.blobs.server import BlobServer
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.common.ids import new_id
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import BlobRef, FeedSource
from scheduler.objects.blobs import BlobStore

KEY = "a key of tickets"
KIB, MIB = 1024, 1024 * 1024


def lines(setting: Setting) -> Iterator[Line]:
    sink = compiled("sink", setting.scratch)
    directory = setting.directory("fetch")
    blobs = BlobStore(directory)
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=serve, args=(directory, theirs), daemon=True)
    other.start()
    port: int = ours.recv()
    try:
        for what, count, size, bars in (
            ("64 MiB", setting.size(16, 1), 64 * MIB, (Bar(0.9), Bar())),
            ("64 KiB", setting.size(2000, 100), 64 * KIB, (Bar(), Bar())),
        ):
            sources = [put(blobs, size, port) for _ in range(count)]
            turns = (gigabytes(run, sink, blobs, sources) for run in (from_sockets, from_curl, from_files))
            fetched, curled, fed = interleave(setting.size(5, 1), *turns)
            yield Line(f"from a peer, {count:,} x {what}", "GB/s", fetched, bars[0], "curl", curled)
            yield Line(f"from a peer, {count:,} x {what}", "GB/s", fetched, bars[1], "own files", fed)
    finally:
        ours.send(None)
        other.join()
        blobs.close()


def serve(directory: Path, told: Connection) -> None:
    """Serve blobs as another node does, until a message arrives."""
    blobs = BlobStore(directory)
    exchange = BlobServer(blobs, KEY, Traffic())
    told.send(exchange.start("127.0.0.1", 0))
    told.recv()
    exchange.close()
    blobs.close()


def put(blobs: BlobStore, size: int, port: int) -> FeedSource:
    """Store a blob of random bytes; returns a reference to it as one on the other node."""
    fd, blob = blobs.create(), new_id()
    for _ in range(0, size, KIB * 64):
        os.write(fd, os.urandom(KIB * 64))
    blobs.publish(fd, blob)
    os.close(fd)
    there = BlobRef(id=blob, size=size, node="other", source=source_of(f"http://127.0.0.1:{port}", KEY, blob, "here"))
    return FeedSource(seq=0, blob=there)


Run = Callable[[str, BlobStore, Sequence[FeedSource]], int]


def gigabytes(run: Run, sink: str, blobs: BlobStore, sources: Sequence[FeedSource]) -> Callable[[], float]:
    return turn_of(lambda: run(sink, blobs, sources), sum(source.blob.size for source in sources))


def from_sockets(sink: str, blobs: BlobStore, sources: Sequence[FeedSource]) -> int:
    opened = Sources(Stores.one(blobs))  # stores of a node without a name: all blobs are on other nodes
    try:
        return fed(sink, sources, opened.open, opened.open_ahead)
    finally:
        opened.close()


def from_files(sink: str, blobs: BlobStore, sources: Sequence[FeedSource]) -> int:
    return fed(sink, sources, lambda source, _: blobs.open(source.blob.id), None)


def fed(
    sink: str,
    sources: Sequence[FeedSource],
    open_source: Callable[[FeedSource, int], int],
    open_ahead: Callable[[FeedSource], int] | None,
) -> int:
    """Feed blobs to the reader; returns the number of bytes read."""
    events: list[Event[FeedSource]] = []
    reading, writing = pipe()
    reader = start_reader(sink, reading)
    feed = Feed[FeedSource](writing, open_source, events.append, len(sources), open_ahead)
    for source in sources:
        feed.append(source, source.blob.size)
    feed.end()
    feed.join()
    if events[-1:] != [Finished()]:
        raise RuntimeError(f"the feed ended otherwise than it should: {events}")
    return bytes_read(reader)


def from_curl(sink: str, _: BlobStore, sources: Sequence[FeedSource]) -> int:
    """Send blobs to the reader by `curl`; returns the number of bytes read."""
    curl = installed("curl")
    if curl is None:
        raise missing("curl")
    reading, writing = pipe(PIPE_BYTES)
    os.set_blocking(writing, True)
    reader = start_reader(sink, reading)
    asked = "".join(f'url = "{source.blob.source}"\n' for source in sources)
    subprocess.run([curl, "-sS", "-K", "-"], input=asked.encode(), stdout=writing, check=True)
    os.close(writing)
    return bytes_read(reader)
