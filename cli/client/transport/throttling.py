"""Throttling: a service that gets too many requests says when one may come again, and the client waits for that.

A request that was answered with 429 was not begun, so any request may be repeated whose body can be sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cli.client.problem import Refused

T = TypeVar("T")
THROTTLED = 429
SECONDS = 120.0
LEAST, MOST = 0.1, 60.0


def unthrottled(ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `ask` returns, once the service takes it. Raises the last `Refused` after two minutes of refusals."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return ask()
        except Refused as problem:
            if problem.status != THROTTLED or time.monotonic() >= until:
                raise
            pause = seconds(problem.retry_after)
        sleep(pause)


def seconds(retry_after: str) -> float:
    """The time that a Retry-After header asks for, within bounds; a second if it says none."""
    said = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 7 else 1.0
    return min(MOST, max(LEAST, said))
