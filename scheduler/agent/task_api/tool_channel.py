"""The agent's end of one tool's connection.

A task can send any descriptor to the agent's socket, and closing one can block for as long as its
sender chose (`datapath.passing`). From Linux 6.16 on the kernel refuses them, and the event loop
reads the socket itself (`Direct`). On older kernels each connection has a thread (`Ported`): it
receives a packet when asked to, closes the descriptors that came with it, passes on the bytes, and
closes the socket in the end. The event loop only sends.

Example, on an old kernel: a task sends a TCP socket that lingers for a day. The thread of that
connection is stuck in close(2). It counts as one of the instance's connections (`tools`), so the
task has one connection less, and nothing else is delayed. When the instance ends, signals to the
thread end the wait; what a signal cannot end (a file system that hangs) stays until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

from datapath import passing
from datapath.passing import Channel, Kind, Listener, Message
from scheduler.providers.linux.readiness import readable

INTERRUPT_SECONDS = 0.1
ENDING: set[asyncio.Task[None]] = set()  # the event loop itself holds tasks weakly
NUDGE = signal.SIGURG  # ignored unless it has a handler; with one it only interrupts a blocking call


class Direct:
    """A connection that the event loop reads: the kernel keeps descriptors out of it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, kind: Kind, text: str = "", flags: int = 0, fds: Sequence[int] = ()) -> None:
        """Send a packet. Raises OSError if the tool went away, or does not read."""
        self._channel.send(kind, flags=flags, payload=text.encode(), fds=fds)

    def is_connected(self) -> bool:
        poll = select.poll()
        poll.register(self._channel.fileno(), 0)
        return not poll.poll(0)  # without requested events, only HUP and ERR are returned

    async def receive(self) -> Message | None:
        """The next packet, or None when the tool has gone. Raises ValueError for one that breaks the protocol."""
        while True:
            try:
                return self._channel.receive()
            except BlockingIOError:
                await readable(self._channel.fileno())

    async def close(self, is_over: Callable[[], bool]) -> None:
        self._channel.close()


class Ported(Direct):
    """A connection that a thread reads and closes. Packets arrive without their descriptors, which are closed."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[Message | ValueError | OSError | None] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        self._closing = False
        self._closed = self._loop.create_future()
        self._thread = threading.Thread(target=self._carry, name="tool", daemon=True)
        self._thread.start()

    async def receive(self) -> Message | None:
        self._wanted.release()
        came = await self._came.get()
        if isinstance(came, Exception):
            raise came
        return came

    async def close(self, is_over: Callable[[], bool]) -> None:
        """Have the thread close the socket, and wait for that; `is_over`: no task can wait for its tools any more."""
        self._closing = True
        sock = socket.socket(fileno=self._channel.fileno())
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # ends the thread's wait for a packet
        sock.detach()
        self._wanted.release()
        # The caller is cancelled when the instance ends, and the thread may have to be interrupted after that.
        ending = self._loop.create_task(self._see_closed(is_over))
        ENDING.add(ending)
        ending.add_done_callback(ENDING.discard)
        await asyncio.shield(ending)

    async def _see_closed(self, is_over: Callable[[], bool]) -> None:
        while not self._closed.done():
            await asyncio.wait([self._closed], timeout=INTERRUPT_SECONDS)
            if is_over() and self._thread.is_alive() and self._thread.ident is not None:
                signal.pthread_kill(self._thread.ident, NUDGE)

    def _carry(self) -> None:
        while self._wanted.acquire() and not self._closing:
            came = self._take()
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._came.put_nowait, came)
        self._channel.close()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_closed)

    def _take(self) -> Message | ValueError | OSError | None:
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        while True:
            try:
                message = self._channel.receive()
            except BlockingIOError:
                poll.poll()
            except (ValueError, OSError) as error:
                return error
            else:
                if message is not None and message.fds:
                    close_all(message.fds)
                    return ValueError("tools send no descriptors")
                return message

    def _set_closed(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)


def accept(listener: Listener) -> Direct:
    """Accept the next connection. Raises BlockingIOError if there is none."""
    channel = passing.accept(listener)
    return Direct(channel) if listener.bars_descriptors else Ported(channel)


def allow_nudges() -> None:
    """Let `NUDGE` interrupt a thread's blocking calls. To be called in the main thread."""
    signal.signal(NUDGE, lambda *_: None)


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
