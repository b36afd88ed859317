"""Waiting: for an event, but not for ever; and for a turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within `seconds`."""
    # Not asyncio.wait_for: up to Python 3.11 that can swallow a cancellation that comes with the event.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Turns:
    """A queue of steps, of which each turn of the event loop does `most`. While it is empty, the first steps in a turn
    are done at once.

    Callers that share a loop have a queue each: a step of one then waits for a few steps of each other caller, and not
    for all that these have queued.
    """

    def __init__(self, most: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._most = most
        self._taken = 0  # in this turn

    def take(self) -> bool:
        """Take a step in this turn, if there is one left and none waits for it."""
        if self._waiting or self._taken >= self._most:
            return False
        self._begin()
        return True

    def add(self, step: Callable[[], None]) -> None:
        """Do `step` in a later turn."""
        self._waiting.append(step)
        if not self._taken:
            self._begin()

    async def mine(self) -> None:
        """Return when it is the caller's turn."""
        if not self.take():
            turn: asyncio.Future[None] = self._loop.create_future()
            self.add(partial(grant, turn))
            await turn

    def _begin(self) -> None:
        if not self._taken:
            self._loop.call_soon(self._next)
        self._taken += 1

    def _next(self) -> None:
        self._taken = 0
        for _ in range(min(self._most, len(self._waiting))):
            self._begin()
            self._waiting.popleft()()


def grant(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # its request may have ended
        turn.set_result(None)
