"""Which supervisors an agent works for. Time passes at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from scheduler.agent.client import UnavailableError
from scheduler.agent.gateways import Gateways
from scheduler.agent.links.links import LONGEST_PAUSE, LOOK_SECONDS, Links
from scheduler.model.errors import WireError
from scheduler.model.wire import Supervisor, Supervisors
from tests.support.time_warp import run

GATEWAYS = ["http://gw1", "http://gw2"]


class Cluster:
    """Gateways that say who lives, and what the agent does with it."""

    def __init__(self, *living: int) -> None:
        self.living = list(living)
        self.silent: set[str] = set()
        self.refusing: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.began: Counter[int] = Counter()
        self.working: set[int] = set()
        self.ending: set[int] = set()  # registrations of these end at once
        self.slow = 0.0  # seconds until a link is closed

    @contextlib.asynccontextmanager
    async def agent(self):
        links = Links(Gateways(GATEWAYS), lambda url: Door(self, url), self.work)  # type: ignore[arg-type, return-value]
        running = asyncio.create_task(links.run())
        await asyncio.sleep(0.1)
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert not self.working

    async def work(self, supervisor: Supervisor) -> None:
        self.began[supervisor.id] += 1
        if supervisor.id in self.ending:
            return
        self.working.add(supervisor.id)
        try:
            await asyncio.sleep(1e9)
        finally:
            await asyncio.sleep(self.slow)
            self.working.discard(supervisor.id)


class Door:
    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster = cluster
        self._url = url

    async def supervisors(self) -> Supervisors:
        self._cluster.asked[self._url] += 1
        if self._url in self._cluster.silent:
            raise UnavailableError("no answer")
        if self._url in self._cluster.refusing:
            raise WireError(404, "ResourceNotFound", "what agents?")
        living = [Supervisor(id=number, url=f"http://s{number}") for number in self._cluster.living]
        return Supervisors(supervisors=living, revoked=["n9"])


def test_there_is_a_link_to_each_supervisor_that_lives() -> None:
    async def main() -> None:
        cluster = Cluster(1, 2)
        async with cluster.agent():
            assert cluster.working == {1, 2}
            cluster.living.append(3)
            await asyncio.sleep(LOOK_SECONDS)
            assert cluster.working == {1, 2, 3}
        assert cluster.began == {1: 1, 2: 1, 3: 1}

    run(main())


def test_the_link_to_one_that_has_left_is_closed_and_the_others_go_on() -> None:
    async def main() -> None:
        cluster = Cluster(1, 2)
        async with cluster.agent():
            cluster.living = [2, 3]
            await asyncio.sleep(LOOK_SECONDS)
            assert cluster.working == {2, 3}
        assert cluster.began == {1: 1, 2: 1, 3: 1}

    run(main())


def test_a_link_that_takes_long_to_close_holds_up_nobody() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        cluster.slow = 60.0
        async with cluster.agent():
            cluster.living = [2]
            await asyncio.sleep(2 * LOOK_SECONDS)
            assert cluster.working == {1, 2}
            await asyncio.sleep(60.0)
            assert cluster.working == {2}

    run(main())


def test_a_gateway_that_does_not_answer_is_passed_over() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        cluster.silent, cluster.refusing = {"http://gw1"}, {"http://gw2"}
        async with cluster.agent():
            assert cluster.working == set()  # nobody is known yet
            cluster.refusing = set()
            await asyncio.sleep(LOOK_SECONDS)
            assert cluster.working == {1}
            before = cluster.asked["http://gw1"]
            await asyncio.sleep(10 * LOOK_SECONDS)
            assert cluster.asked["http://gw1"] == before  # the other one is asked first from now on

    run(main())


def test_without_any_gateway_the_supervisors_say_who_lives() -> None:
    async def main() -> None:
        cluster = Cluster(1, 2)
        async with cluster.agent():
            cluster.silent = set(GATEWAYS)
            cluster.living = [2]
            await asyncio.sleep(LOOK_SECONDS)
            assert cluster.working == {2}

    run(main())


def test_when_nobody_says_who_lives_nothing_changes() -> None:
    async def main() -> None:
        cluster = Cluster(1, 2)
        async with cluster.agent():
            cluster.silent = {*GATEWAYS, "http://s1", "http://s2"}
            cluster.living = []
            await asyncio.sleep(100.0)
            assert cluster.working == {1, 2}
        assert cluster.began == {1: 1, 2: 1}

    run(main())


def test_a_registration_that_ends_is_followed_by_another_but_not_without_a_pause() -> None:
    async def main() -> None:
        cluster = Cluster(1, 2)
        cluster.ending = {1}
        async with cluster.agent():
            await asyncio.sleep(60.0)
            assert 10 < cluster.began[1] < 10 + 60.0 / LONGEST_PAUSE
            cluster.ending = set()
            await asyncio.sleep(LONGEST_PAUSE)
            assert cluster.working == {1, 2}
        assert cluster.began[2] == 1

    run(main())
