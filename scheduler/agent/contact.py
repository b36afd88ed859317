"""Whether a supervisor still hears us.

The supervisor holds our tasks for `LEASE_SECONDS` after anything that it heard of us; then it gives
them to others. So a link that has nothing to say *beats*. And whoever is cut off has to draw the same
conclusion by himself: once nothing was answered for so long, and some more for clocks that differ,
our tasks run elsewhere, what we hold counts no more, and the node must not go on with it for ever.

A shorter cut costs nothing: requests are repeated, and the lease is still ours. Only, what was on its
way when the wire went dead may wait for an answer that was lost. So when a beat comes through again,
everything that still waits is asked anew.

An agent that was away itself (stopped by SIGSTOP, paused, suspended) has heard nothing because it did not listen. That
time does not count: it asks, and is told if it was given up.

Example: a node is cut off for 5 s while its poll hangs. Beats at 2 and 4 s fail, the one at 6 s is
answered; the poll is sent again, and gets the reply that was lost. Cut off for 60 s, its tasks end
after 12 and run elsewhere after 10.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from scheduler.agent.client import UnavailableError, patiently
from scheduler.model.wire import BEAT_SECONDS, LEASE_SECONDS

T = TypeVar("T")
# Seconds by which we hold on longer than the supervisor does: it looks once a second.
MARGIN = 2.0
# Seconds between beats that fail.
PAUSE = 0.5
# Seconds by which a timer may be late before it means that this process was away.
ABSENCE = 1.0


class SilentError(Exception):
    """Nothing was heard of the supervisor for so long that it has given us up."""


class Contact:
    """With one supervisor. `note` hears of failures."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._waiting: set[asyncio.Timeout] = set()

    async def ask(self, action: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request that may be repeated, however long that takes."""
        return await patiently(lambda: self._once(action), self._note)

    async def _once(self, action: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(None) as limit:
                self._waiting.add(limit)
                try:
                    answer = await action()
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            raise UnavailableError("the way to the supervisor was interrupted") from None
        self._heard = self._loop.time()
        return answer

    async def keep(self, beat: Callable[[], Awaitable[None]]) -> NoReturn:
        """Beat whenever nothing else was answered for a while. Raises SilentError once that cannot help any more."""
        failed = False
        while True:
            pause = max(PAUSE, self._heard + BEAT_SECONDS - self._loop.time())
            due = self._loop.time() + pause
            await asyncio.sleep(pause)
            self._heard += max(0.0, self._loop.time() - due - ABSENCE)
            quiet = self._loop.time() - self._heard
            if quiet > LEASE_SECONDS + MARGIN:
                raise SilentError
            if quiet < BEAT_SECONDS:
                continue
            try:
                await beat()
            except UnavailableError:
                failed = True
                continue
            self._heard = self._loop.time()
            if failed:
                failed = False
                self._ask_anew()

    def _ask_anew(self) -> None:
        for limit in self._waiting:
            limit.reschedule(self._loop.time())
