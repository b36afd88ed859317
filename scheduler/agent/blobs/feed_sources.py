"""The sources of a reducer's feed: blobs of this node, of the object store, or of another node.

A large blob on another node is a socket (`fetch`), opened when its turn has come: opened ahead, it
would occupy a connection and a file on its node for as long as the reducer pauses. But most sources
are small, and a connection for each would cost more than their bytes. So small ones are read into
memory, one after another through one connection to each node, and may be read ahead.

Of a shuffle file only one partition is fed: its extents, where the file is on this node; else its node sends
just these.

All of this runs in the feed's thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from urllib.parse import urlsplit

from datapath import shuffle_file
from datapath.feed import Pieces
from datapath.slices import END, LineTooLongError, long_line
from scheduler.agent.blobs import slices
from scheduler.agent.blobs.fetch import (
    SILENCE_SECONDS,
    PeerError,
    ResumingRead,
    connect,
    judge,
    read_head,
    request,
    stream,
    write,
)
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.transport import ANYWHERE, Reach
from scheduler.model.wire import BlobRef, FeedSource

LITTLE = 128 * 1024


class LaterError(Exception):
    """A source has to be opened when its turn has come."""


class Sources:
    """The sources of one feed: `open` and `open_ahead` are the callbacks of `datapath.feed.Feed`."""

    def __init__(self, stores: Stores, line_end: bytes = END, bounds_lines: bool = False) -> None:
        """`bounds_lines`: a line that is longer than our tools take is the loss of its source."""
        self._stores = stores
        self._bounds_lines = bounds_lines
        self._line_end = line_end
        self._calls = Connections(stores.traffic, stores.reach)
        self._closed = threading.Event()
        self._pursuit: ResumingRead | None = None  # of the current source, if it is on another node
        self._pursued: FeedSource | None = None

    def open(self, source: FeedSource, offset: int) -> int:
        """A descriptor of a file, or of a stream from `offset` on. Raises BlobGoneError, OSError."""
        blob = source.blob
        if not self._stores.is_elsewhere(blob):
            return self._stores.open_in_thread(blob)
        if blob.size <= LITTLE and source.part is None:
            with contextlib.suppress(OSError):  # the connection may have been idle for too long
                return self._calls.get(blob)
        if self._pursuit is None or self._pursued != source:
            self._pursuit = ResumingRead(blob, self._stores.traffic, self._closed, self._stores.reach, source.part)
            self._pursued = source
        answer = self._pursuit.open(offset)
        return stream(answer, self._pursuit.size - offset)

    def open_ahead(self, source: FeedSource) -> int:
        """The same if it takes no time, else LaterError or what `open` raises."""
        blob = source.blob
        if not self._stores.is_elsewhere(blob):
            return self._stores.open(blob)
        if blob.size <= LITTLE and source.part is None and self._calls.is_open(blob):
            return self._calls.get(blob)
        raise LaterError

    def pieces(self, source: FeedSource, size: int, fd: int) -> Pieces:
        """The pieces of an open source that are fed. Raises LineTooLongError, NotAShuffleFileError, OSError."""
        if source.part is None:
            piece = slices.bounds(source, size, fd, self._line_end)
            if self._bounds_lines and (at := long_line(fd, *piece, self._line_end)) is not None:
                raise LineTooLongError(at)
            return (piece,)
        if self._stores.is_elsewhere(source.blob):
            assert self._pursuit is not None
            return ((0, self._pursuit.size),)
        return [(extent.at, extent.at + extent.length) for extent in shuffle_file.find(fd, source.part)]

    def close(self) -> None:
        """Stop: the sources are no longer needed. In any thread; does not block."""
        self._closed.set()
        self._calls.close()


class Connections:
    """Persistent connections for small blobs, one per node. Used by one thread, except `close`."""

    def __init__(self, traffic: Traffic, reach: Reach = ANYWHERE) -> None:
        self._traffic = traffic
        self._reach = reach
        self._peers: dict[str, socket.socket] = {}
        self._busy = threading.Lock()
        self._over = False

    def is_open(self, blob: BlobRef) -> bool:
        """Whether there is a connection to the blob's node already."""
        return urlsplit(blob.source or "").netloc in self._peers

    def get(self, blob: BlobRef) -> int:
        """A file in memory with a small blob. Raises BlobGoneError, OSError; not retried."""
        url = urlsplit(blob.source or "")
        with self._busy:
            try:
                peer = self._peers.pop(url.netloc, None) or connect(url, SILENCE_SECONDS, self._reach)
                try:
                    body = receive(peer, request(url, "1.1", 0), blob.size)
                except BaseException:
                    peer.close()
                    raise
                self._peers[url.netloc] = peer
            finally:
                if self._over:
                    self._hang_up()
        self._traffic.fetched += blob.size
        return file_of(body)

    def close(self) -> None:
        """Close the connections for good. In any thread; does not block."""
        self._over = True  # a request in flight closes its connection at its end
        if self._busy.acquire(blocking=False):
            self._hang_up()
            self._busy.release()

    def _hang_up(self) -> None:
        while self._peers:
            self._peers.popitem()[1].close()


def receive(peer: socket.socket, asked: bytes, size: int) -> bytes:
    """The answer to a request for a whole blob, read to its end. Raises BlobGoneError, OSError."""
    peer.sendall(asked)
    judge(read_head(peer), size, 0, False)
    body = bytearray()
    while len(body) < size:
        piece = peer.recv(size - len(body))
        if not piece:
            raise PeerError("the peer hung up in the middle")
        body += piece
    return bytes(body)


def file_of(body: bytes) -> int:
    """A descriptor of a file in memory."""
    file = os.memfd_create("blob", os.MFD_CLOEXEC)
    try:
        write(file, body)
    except BaseException:
        os.close(file)
        raise
    return file
