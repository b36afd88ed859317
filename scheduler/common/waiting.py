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
    """A queue of steps, of which each turn of the event loop does one. While it is empty, the first step in a turn is
    done at once.

    Whoever shares a loop has a queue each: then a step of one waits for one step of each other, however many they have.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._taken = False  # in this turn

    def take(self) -> bool:
        """Take this turn, if it is free and no step waits for it."""
        if self._taken:
            return False
        self._begin()
        return True

    def add(self, step: Callable[[], None]) -> None:
        """Do `step` in a turn of its own."""
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
        self._taken = True
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._taken = False
        if self._waiting:
            self._begin()
            self._waiting.popleft()()


def grant(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # its request may have ended
        turn.set_result(None)
