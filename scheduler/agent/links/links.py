"""The supervisors that an agent works for: one *link* to each that lives.

Jobs are divided among supervisors, and any job's tasks may run on any node; so every agent is
registered with every supervisor. The records list the live supervisors, and any gateway or
supervisor returns that list. The agent asks for it every `LOOK_SECONDS`, and at once when a link
has failed. Then

- a supervisor at a new address gets a link, which registers and works until it is closed;
- a supervisor that is restarted has another number and the same address: its link stays, and registers
  with the new start, which takes over the attempts that still run;
- an address that is no longer listed has lost its jobs to others: its link is closed, which ends its
  tasks here. They come back by another link, as new attempts;
- when the list cannot be had, or no supervisor is on it, nothing changes: none has taken over anything,
  and a link ends by itself when its lease does (`lease`).

A link whose registration has ended, because the supervisor has forgotten us or was silent for too
long, registers again. Closing a link may take a while, since instances have to end; it happens in
the background.

Example: supervisors 4 and 5; 5 is killed. Its link finds the port closed; five seconds later the
records say that 4 is alone, the link's instances end, and 4 has leased their tasks already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from scheduler.agent.client import Client, UnavailableError
from scheduler.agent.gateways import Gateways
from scheduler.common.backoff import Backoff
from scheduler.model.errors import WireError
from scheduler.model.wire import Supervisor

LOOK_SECONDS = 2.0
# Pauses between registrations that end at once: the first and the longest, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
# A registration that lasted longer (seconds) did not end at once.
STEADY_SECONDS = 10.0
log = logging.getLogger("remora.agent")


class Links:
    """The links to all live supervisors.

    `connect(url)` makes a client; `work(supervisor)` is one registration to its end.
    """

    def __init__(
        self,
        gateways: Gateways,
        connect: Callable[[str], Client],
        work: Callable[[Supervisor], Awaitable[None]],
        shun: Callable[[list[str]], None] = lambda nodes: None,
    ) -> None:
        """`shun` is called with the names of revoked nodes."""
        self._gateways = gateways
        self._connect = connect
        self._work = work
        self._shun = shun
        self._open: dict[str, asyncio.Task[None]] = {}  # by the address
        self._closing: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Supervisor] = {}
        self._look = asyncio.Event()
        self._silence = False  # no gateway or supervisor returned the list

    async def run(self) -> None:
        """Keep the links until cancelled; then close them all."""
        try:
            while True:
                self._look.clear()
                if found := await self._ask():
                    self._follow(found)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._look.wait()
        finally:
            self._follow([])
            await asyncio.gather(*self._closing.values(), return_exceptions=True)

    async def _ask(self) -> list[Supervisor] | None:
        """The live supervisors; None if no gateway or supervisor answers."""
        why = ""
        for url in [*self._gateways, *(supervisor.url for supervisor in self._known.values())]:
            try:
                found = await self._connect(url).supervisors()
            except (UnavailableError, WireError) as error:
                why = f"{url}: {error}"
                self._gateways.failed(url)
            else:
                self._silence = False
                self._shun(found.revoked)
                return found.supervisors
        if not self._silence:
            log.warning("no gateway or supervisor lists the supervisors", extra={"why": why})
        self._silence = True
        return None

    def _follow(self, found: list[Supervisor]) -> None:
        """Open links to new supervisors, and close links to those that are not in the list."""
        self._known = {supervisor.url: supervisor for supervisor in sorted(found, key=lambda each: each.id)}
        for url in self._open.keys() - self._known.keys():
            link = self._closing[url] = self._open.pop(url)
            link.add_done_callback(lambda _, url=url: self._closing.pop(url, None))  # type: ignore[misc]
            link.cancel()
            log.info("supervisor left", extra={"url": url})
        for url in self._known.keys() - self._open.keys() - self._closing.keys():
            self._open[url] = asyncio.get_running_loop().create_task(self._keep(url))

    async def _keep(self, url: str) -> None:
        """Register with the supervisor at an address, again and again."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            began = loop.time()
            try:
                await self._work(self._known[url])
            except Exception:
                log.exception("a link failed", extra={"url": url})
            self._look.set()
            if loop.time() - began > STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())
