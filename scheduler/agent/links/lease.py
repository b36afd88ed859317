"""The agent's view of its lease from one supervisor.

The supervisor holds our tasks for `LEASE_SECONDS` after the last message that it received from us;
then it gives them to other agents. A link that has nothing to send therefore sends *beats*. An agent
that is cut off has to draw the same conclusion by itself: once nothing was answered for that time,
and a margin for clocks that differ, our tasks run elsewhere, what we hold is no longer valid, and
the node must not continue with it.

A shorter interruption costs nothing: requests are repeated, and the lease is still ours. But a
request that was in flight when the network failed may wait for an answer that was lost. So when a
beat is answered again, every request that still waits is sent anew.

An agent that was itself suspended (by SIGSTOP, or with its machine) received nothing because it did
not listen. That time does not count: it asks, and the supervisor says whether it was given up.

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
# Seconds by which the agent holds on longer than the supervisor, which checks leases once a second.
MARGIN = 2.0
# Seconds between beats that fail.
PAUSE = 0.5
# Seconds by which a timer must be late to mean that this process was suspended.
ABSENCE = 1.0


class SilentError(Exception):
    """The supervisor was silent for so long that it has given this agent up."""


class SupervisorLease:
    """The state of the lease from one supervisor. `note` is called with failures."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._waiting: set[asyncio.Timeout] = set()

    async def ask(self, action: Callable[[], Awaitable[T]]) -> T:
        """The answer to an idempotent request, repeated until there is one."""
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
        """Send beats while no other request is answered. Raises SilentError once the lease has ended."""
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
