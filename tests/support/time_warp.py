"""An event loop whose time passes at once: when nothing is left to do but wait, the clock jumps to the next timer.

For code that only waits for timers and for itself; nothing may be awaited that comes from outside the process.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Jumping(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Looks, and never waits."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for somebody else"
            self.now += max(0.0, timeout)
        return ready


class WarpLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, starting at 0.0 seconds."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner:
        return runner.run(work)
