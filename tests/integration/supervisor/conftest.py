"""Several supervisors on one database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

from scheduler.model.job import parse_job
from scheduler.records import accounts
from scheduler.records.database import Connection
from scheduler.supervisor.job_services import RecordedJobService
from scheduler.supervisor.jobs.intake import JobRef
from scheduler.supervisor.ports import Ports
from scheduler.supervisor.supervisor import Supervisor
from tests.integration.conftest import MEMORY
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.house import House

T = TypeVar("T")


class Cluster:
    """Supervisors beside each other, a gateway's post-box, and agents; the database's clock can be moved on."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.db = house.db
        self.ahead_ms = 0
        self.ahead = 0.0  # seconds of the supervisors' own clocks
        self.recorded_jobs = RecordedJobService(house.db, house.clock)
        self._supervisors: list[Supervisor] = []
        now = lambda c: time.time_ns() // 1_000_000 + self.ahead_ms  # noqa: E731
        for kind in Connection.__subclasses__():
            monkeypatch.setattr(kind, "now", now)

    def make(self) -> Supervisor:
        made = Supervisor(
            self.db, self.house.blobs, self.house.clock, "{}/{}".format, "http://none", alone=False, beat_seconds=3600,
            ports=Ports(monotonic=lambda: time.monotonic() + self.ahead),
        )  # fmt: skip
        self._supervisors.append(made)
        return made

    async def start(self) -> Supervisor:
        made = self.make()
        await made.start()
        return made

    async def pass_time(self, ms: int, *living: Supervisor) -> None:
        """So much time passes in steps of a second, and these supervisors beat."""
        for _ in range(0, ms, 1000):
            self.ahead_ms += 1000
            for each in living:
                await each.beat()

    async def end(self) -> None:
        self.recorded_jobs.close()
        for each in self._supervisors:
            await each.stop()

    async def job(self, *phases: dict[str, object]) -> JobRef:
        uuid = await self.recorded_jobs.create_job("jill", parse_job({"phases": list(phases)}))
        return JobRef((await self.house.row(uuid))["id"], uuid)

    async def owner(self, job: JobRef) -> int | None:
        return (await self.house.row(job.uuid))["supervisor"]

    async def state(self, job: JobRef) -> str:
        return (await self.house.row(job.uuid))["state"]

    async def owned(self, job: JobRef) -> int:
        """Wait until somebody owns a job; who."""
        owner = await self.until(lambda: self.owner(job))
        assert owner is not None
        return owner

    async def done(self, job: JobRef) -> None:
        async def done() -> bool:
            return await self.state(job) == "done"

        await self.until(done)

    async def until(self, holds: Callable[[], Awaitable[T]]) -> T:
        """Wait until something is true, as somebody will announce."""
        heard = asyncio.Event()
        stop_listening = self.db.listen(lambda _: heard.set())
        try:
            async with asyncio.timeout(20):
                while not (answer := await holds()):
                    await heard.wait()
                    heard.clear()
        finally:
            stop_listening()
        return answer

    @contextlib.asynccontextmanager
    async def agent(self, supervisor: Supervisor, **options) -> AsyncIterator[InstantAgent]:
        agent = InstantAgent(supervisor, **options)
        running = asyncio.ensure_future(agent.run())
        await agent.registered.wait()
        try:
            yield agent
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    with TemporaryDirectory(dir=MEMORY) as directory:
        house = House(Path(directory))
        await house.db.write(lambda c: accounts.create(c, "jill", 1))
        cluster = Cluster(house, monkeypatch)
        cluster.recorded_jobs.open()
        yield cluster
        await cluster.end()
        house.db.close()
        house.blobs.close()


async def until_leased(agent: InstantAgent, count: int) -> None:
    await eventually(lambda: len(agent.leases) >= count, f"{count} tasks are leased")


def living(c: Connection) -> list[int]:
    return [row["id"] for row in c.all("living_supervisors")]
