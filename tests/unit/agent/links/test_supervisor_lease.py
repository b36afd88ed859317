"""A link and its supervisor, with a wire between them that can be cut. Time passes at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

import pytest

from scheduler.agent.client import BRIEF_SECONDS, UnavailableError
from scheduler.agent.links.lease import MARGIN, PAUSE, SilentError, SupervisorLease
from scheduler.model.wire import BEAT_SECONDS, LEASE_SECONDS
from tests.support.time_warp import run


@dataclass
class Wire:
    """Requests arrive, and are answered after `seconds`, except while it is cut: from `begin` to `end`."""

    begin: float = float("inf")
    end: float = float("inf")
    beats: list[float] = field(default_factory=list)  # when one arrived
    polls: list[float] = field(default_factory=list)  # when one was sent

    def is_cut(self) -> bool:
        return self.begin <= now() < self.end

    async def beat(self) -> None:
        if self.is_cut():
            await asyncio.sleep(BRIEF_SECONDS)
            raise UnavailableError("no answer")
        self.beats.append(now())

    async def poll(self, seconds: float = 20.0) -> float:
        """A reply that comes when the wire is cut is lost, and so is a request."""
        self.polls.append(now())
        lost = self.is_cut()
        await asyncio.sleep(seconds)
        if lost or self.is_cut():
            await asyncio.sleep(1000.0)
        return now()


def now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def kept(contact: SupervisorLease, wire: Wire):
    keeping = asyncio.create_task(contact.keep(wire.beat))
    try:
        yield keeping
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def test_a_quiet_link_says_that_it_lives() -> None:
    async def main() -> None:
        wire, contact = Wire(), SupervisorLease(print)
        async with kept(contact, wire):
            await contact.ask(lambda: wire.poll(20.0))
        assert wire.beats == [pytest.approx(n * BEAT_SECONDS) for n in range(1, len(wire.beats) + 1)]
        assert len(wire.beats) >= 20 / BEAT_SECONDS - 1

    run(main())


def test_a_busy_link_need_not() -> None:
    async def main() -> None:
        wire, contact = Wire(), SupervisorLease(print)
        async with kept(contact, wire):
            for _ in range(30):
                await contact.ask(lambda: wire.poll(BEAT_SECONDS / 4))
        assert wire.beats == []

    run(main())


@pytest.mark.parametrize("begin", [0.0, 0.5, 1.9, 2.0, 3.3])
def test_a_cut_of_five_seconds_loses_nothing_but_has_the_poll_asked_again(begin: float) -> None:
    async def main() -> None:
        wire, contact = Wire(begin, begin + 5), SupervisorLease(print)
        async with kept(contact, wire) as keeping:
            ended = await contact.ask(lambda: wire.poll(begin + 4.9))  # whose reply is lost
            assert not keeping.done()
        heard = [0.0, *wire.beats]
        assert max(later - earlier for earlier, later in itertools.pairwise(heard)) < LEASE_SECONDS
        assert len(wire.polls) == 2
        assert wire.polls[1] < begin + LEASE_SECONDS
        assert ended == pytest.approx(wire.polls[1] + begin + 4.9)

    run(main())


def test_a_link_that_is_cut_off_ends_after_its_lease_and_not_before() -> None:
    async def main() -> None:
        wire, contact = Wire(begin=7.0), SupervisorLease(print)
        with pytest.raises(SilentError):
            await contact.keep(wire.beat)
        last = wire.beats[-1]
        assert last + LEASE_SECONDS + MARGIN < now() < last + LEASE_SECONDS + MARGIN + BRIEF_SECONDS + 2 * PAUSE

    run(main())


def test_a_supervisor_that_refuses_at_once_is_not_asked_all_the_time() -> None:
    async def main() -> None:
        tries = []

        async def refuse() -> None:
            tries.append(now())
            raise UnavailableError("connection refused")

        with pytest.raises(SilentError):
            await SupervisorLease(print).keep(refuse)
        assert 3 < len(tries) < (LEASE_SECONDS + MARGIN) / PAUSE

    run(main())
