"""Gathered calls: calls that come while an action runs wait for the next run, and share it.

An action such as a flush or a commit costs as much for one as for a hundred. So calls are gathered: the first one
begins a run, those that come meanwhile form the next. Under load a run serves many, without load a call waits for
none.

Example: 32 clients store an object each, and a flush takes 2 ms. The first flush is for one of them, the second for
the 31 others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathered(Generic[Item, Result]):
    """Calls of `act`, which gets the items of a run and returns the result of each, or the exception that it gets.

    What `act` itself raises is raised to all callers of that run. All calls come from one event loop.
    """

    def __init__(self, act: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], most: int) -> None:
        self._act = act
        self._most = most  # items of one run
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The result for one item, of a run that begins after this call."""
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, waiter))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await waiter

    async def _run(self) -> None:
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                calls = [(item, waiter) for item, waiter in taken if not waiter.cancelled()]
                await self._serve([item for item, _ in calls], [waiter for _, waiter in calls])
        finally:
            self._running = None
            for _, waiter in self._waiting:  # the loop is being closed
                waiter.cancel()

    async def _serve(self, items: Sequence[Item], waiters: Sequence[asyncio.Future[Result]]) -> None:
        if not items:
            return
        results: Sequence[Result | Exception]
        try:
            results = await self._act(items)
        except asyncio.CancelledError:
            for waiter in waiters:
                waiter.cancel()
            raise
        except Exception as error:
            results = [error] * len(items)
        for waiter, result in zip(waiters, results, strict=True):
            if waiter.done():
                continue
            if isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)
