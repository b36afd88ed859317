"""Where a reducer's feed gets its sources from: this node, the objects, or another node.

What is elsewhere and large is a socket (`fetch`), opened when its turn has come: opened ahead, its
node would wait with a connection and a file for as long as the reducer likes to think. But most
sources are little, and a connection for each would cost more than their bytes. So these are read
into memory, one after another through one connection to each node, and may be read ahead.

All of it happens in the feed's thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from urllib.parse import urlsplit

from scheduler.agent.fetch import SILENCE_SECONDS, PeerError, Pursuit, connect, judge, read_head, request, stream, write
from scheduler.agent.reach import ANYWHERE, Reach
from scheduler.agent.stores import Stores
from scheduler.agent.traffic import Traffic
from scheduler.model.wire import BlobRef

LITTLE = 128 * 1024


class LaterError(Exception):
    """A source will be opened when its turn has come."""


class Sources:
    """Those of one feed: `open` and `open_ahead` are what `datapath.feed.Feed` asks for."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._calls = Calls(stores.traffic, stores.reach)
        self._closed = threading.Event()
        self._pursuit: Pursuit | None = None  # of the source that comes from elsewhere now

    def open(self, blob: BlobRef, offset: int) -> int:
        """A descriptor of a file, or of a stream from `offset` on. Raises BlobGoneError, OSError."""
        if not self._stores.is_elsewhere(blob):
            return self._stores.open_in_thread(blob)
        if blob.size <= LITTLE:
            with contextlib.suppress(OSError):  # its connection may have been too old
                return self._calls.get(blob)
        if self._pursuit is None or self._pursuit.blob != blob:
            self._pursuit = Pursuit(blob, self._stores.traffic, self._closed, self._stores.reach)
        return stream(self._pursuit.open(offset), blob.size - offset)

    def open_ahead(self, blob: BlobRef) -> int:
        """The same if it takes no time, else LaterError or what `open` raises."""
        if not self._stores.is_elsewhere(blob):
            return self._stores.open(blob)
        if blob.size <= LITTLE and self._calls.is_open(blob):
            return self._calls.get(blob)
        raise LaterError

    def close(self) -> None:
        """In any thread: nobody wants them any more. Waits for nothing."""
        self._closed.set()
        self._calls.close()


class Calls:
    """Connections that stay open from one little blob to the next. Of one thread, but for `close`."""

    def __init__(self, traffic: Traffic, reach: Reach = ANYWHERE) -> None:
        self._traffic = traffic
        self._reach = reach
        self._peers: dict[str, socket.socket] = {}
        self._busy = threading.Lock()
        self._over = False

    def is_open(self, blob: BlobRef) -> bool:
        """Is there a connection already to where it is?"""
        return urlsplit(blob.source or "").netloc in self._peers

    def get(self, blob: BlobRef) -> int:
        """A file in memory with a little blob. Raises BlobGoneError, OSError; no second try is made."""
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
        """In any thread: nobody will ask any more. Waits for nothing."""
        self._over = True  # who is asking now hangs up at the end
        if self._busy.acquire(blocking=False):
            self._hang_up()
            self._busy.release()

    def _hang_up(self) -> None:
        while self._peers:
            self._peers.popitem()[1].close()


def receive(peer: socket.socket, asked: bytes, size: int) -> bytes:
    """The answer to a request for a whole blob, which is read to its end. Raises BlobGoneError, OSError."""
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
    """A file in memory."""
    file = os.memfd_create("blob", os.MFD_CLOEXEC)
    try:
        write(file, body)
    except BaseException:
        os.close(file)
        raise
    return file
