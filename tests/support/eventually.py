"""Waiting for what announces itself by no event: a condition is asked again and again, until it holds or time is up.

    await eventually(lambda: not agent.instances(), "the agent has no instance")
    eventually_here(lambda: fake.call(idle), "Nomad is idle")        in a test that is no coroutine

Where there is an event (`Gate`, `live.changed`, a condition variable, a line that a process prints), wait for that.
The bound is for a test that has failed. No test may take its length for a result.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 120.0  # for whatever a test waits for: only one that fails takes so long
PAUSE_SECONDS = 0.01


async def eventually(condition: Callable[[], T | Awaitable[T]], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """The first true answer of `condition`, which may be a coroutine function. AssertionError: `what` did not come."""
    for _ in _tries(what, seconds):
        answer = condition()
        found: T = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def eventually_here(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """As `eventually`, and blocks this thread."""
    for _ in _tries(what, seconds):
        if found := condition():
            return found
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _tries(what: str, seconds: float) -> Iterator[None]:
    """Once more until `seconds` are over; the last try begins after them, however slow the machine is."""
    deadline = time.monotonic() + seconds
    late = False
    while not late:
        late = time.monotonic() >= deadline
        yield
    raise AssertionError(f"not within {seconds:g} s: {what}")
