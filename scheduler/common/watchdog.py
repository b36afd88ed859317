"""The watchdog of an event loop, which reports when the loop is blocked.

All clients of a process share one event loop, so one callback that computes or blocks stops them all: a regular
expression on hostile text, a file on a dead disk, a descriptor whose `close` waits. Such a place is hard to find from
outside, since it leaves no trace. The watchdog is a thread that examines the loop while it is blocked.

The loop sets a time stamp every `BEAT_SECONDS`. The thread checks it twice as often; a stamp older than a beat and
`STALL_SECONDS` is a *stall*. Its report has the stack of the loop's thread at that moment, innermost frame first,
and the task that runs (a request's task is named after the request). When the loop runs again, a second line tells
how long the stall was, and `stalled` is called with its seconds, for metrics.

    {"msg": "event loop is stalled", "loop": "gateway", "seconds": 0.3, "task": "request 41c… GET /x (answer)",
     "stack": ["_alternative (scheduler/model/semver.py:70)", …]}

A stall is reported once however long it lasts, and after a report there is none for `QUIET_SECONDS`; metrics count
all of them. If the thread itself was late, the machine is the cause (a suspended process, a lack of processors), not
a callback, and nothing is reported.

Nothing is traced: the cost is one timer and one check per beat, which cannot be measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

log = logging.getLogger("remora.watchdog")

BEAT_SECONDS = 0.1
LOOK_SECONDS = 0.05
STALL_SECONDS = 0.25
QUIET_SECONDS = 5.0
FRAMES = 25


def nothing(_: float) -> None:
    """The default of `stalled`: does nothing."""


@contextlib.contextmanager
def watched(
    name: str, stalled: Callable[[float], None] = nothing, stall_seconds: float = STALL_SECONDS
) -> Iterator[None]:
    """Watch the running event loop, under this name, for the length of the block.

    `stalled` is called on the loop, after each stall, with its length in seconds.
    """
    watchdog = Watchdog(name, asyncio.get_running_loop(), stalled, stall_seconds)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class Watchdog:
    """Watches one event loop; made and started on its thread."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, stalled: Callable[[float], None], stall_seconds: float
    ) -> None:
        self._name = name
        self._loop = loop
        self._stalled = stalled
        self._stall_seconds = stall_seconds
        self._loop_thread = threading.get_ident()
        self._beat = time.monotonic()
        self._reported = -QUIET_SECONDS
        self._seen = False  # the current stall was found
        self._told = False  # the current stall was logged
        self._timer: asyncio.TimerHandle | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watchdog-{name}", daemon=True)

    def start(self) -> None:
        self._turn()
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _turn(self) -> None:
        """Set the time stamp, and report the end of a stall. On the loop."""
        now = time.monotonic()
        late, self._beat = now - self._beat - BEAT_SECONDS, now
        if late > self._stall_seconds:
            self._stalled(late)
        if self._told:
            log.warning("event loop runs again", extra={"loop": self._name, "seconds": round(late, 3)})
        self._seen = self._told = False
        self._timer = self._loop.call_later(BEAT_SECONDS, self._turn)

    def _watch(self) -> None:
        """Check the time stamp, beat by beat. On the thread."""
        looked = time.monotonic()
        while not self._end.wait(LOOK_SECONDS):
            now = time.monotonic()
            on_time = now - looked < LOOK_SECONDS + self._stall_seconds / 2
            looked = now
            late = now - self._beat - BEAT_SECONDS
            if on_time and late > self._stall_seconds and not self._seen:
                self._seen = True
                self._report(now, late)

    def _report(self, now: float, late: float) -> None:
        if now - self._reported < QUIET_SECONDS:
            return
        self._reported = now
        self._told = True
        frame = sys._current_frames().get(self._loop_thread)
        told = {"loop": self._name, "seconds": round(late, 3), "task": running_task(self._loop), "stack": stack(frame)}
        log.warning("event loop is stalled", extra=told)


def running_task(loop: asyncio.AbstractEventLoop) -> str | None:
    """The name of the task that the loop runs, and of its coroutine; None if it runs a plain callback."""
    task = asyncio.current_task(loop)
    if task is None:
        return None
    coroutine = getattr(task.get_coro(), "__qualname__", "")
    return f"{task.get_name()} ({coroutine})"


def stack(frame: FrameType | None) -> list[str]:
    """The stack of a thread, innermost frame first."""
    frames: list[str] = []
    while frame is not None and len(frames) < FRAMES:
        frames.append(f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})")
        frame = frame.f_back
    return frames
