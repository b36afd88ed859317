"""Ten jobs of one account whose tasks do not end: how much of a node they have, and what is left for others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from scheduler.agent.slots.capacity import memory_mb
from scheduler.engine.admission import extra
from scheduler.supervisor.agents.targets import QUANTUM
from tests.support.eventually import eventually_here
from tests.support.services.accounts import Person
from tests.support.services.service import Service
from tests.support.services.user import User

SLOTS = 4
JOBS = 10
TIER_MB = 8192
FOREVER = "sleep 1000"


@dataclass
class Crowd:
    service: Service
    jill: User
    bob: User

    def instances(self) -> int:
        """What there is of them, those included that are being made or ended."""
        return sum(path.name.isdigit() for path in (self.service.state_dir / "instances").iterdir())

    def most_instances(self, seconds: float) -> int:
        """The most that were seen, over some time."""
        most, deadline = 0, time.monotonic() + seconds
        while time.monotonic() < deadline:
            most = max(most, self.instances())
            time.sleep(0.02)
        return most

    @contextmanager
    def hostile_jobs(self, **more: object) -> Iterator[list[str]]:
        """Bob's: one task each, which does not end. Afterwards their instances are gone."""
        before = self.instances()
        jobs = [self.bob.create({"exec": FOREVER, **more}) for _ in range(JOBS)]
        try:
            for job in jobs:
                self.bob.add(job, self.bob.path("a"))
                self.bob.jobs.end_input(job)
            yield jobs
        finally:
            for job in jobs:
                self.bob.jobs.cancel(job)
            for job in jobs:
                self.bob.ended(job)
            eventually_here(lambda: self.instances() <= before, "jobs that are over have no instance")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    home = tmp_path_factory.mktemp("crowd")
    jill, bob = (Person.of(login, home / login) for login in ("jill", "bob"))
    options = ("--login", "jill", "--key", str(jill.home / "id.pub"), "--slots", str(SLOTS), "--prepared", "0")
    service = Service(home / "state", options).start()
    try:
        service.run("remora", "user", "add", "bob", "--key", str(bob.home / "id.pub"))
        with jill.session(service.url) as hers, bob.session(service.url) as his:
            made = Crowd(service, User(hers), User(his))
            made.jill.put("a", b"hers\n")
            made.bob.put("a", b"his\n")
            yield made
    finally:
        assert service.stop() == 0


def test_another_accounts_job_runs_while_tasks_that_do_not_end_are_in_every_slot(crowd: Crowd) -> None:
    with crowd.hostile_jobs() as jobs:
        for job in jobs[: SLOTS - 1]:
            crowd.bob.wait(job, lambda status: status["stats"]["tasks"] == 1)
        for _ in range(3):
            ended = crowd.jill.run("cat", inputs=[crowd.jill.path("a")])
            assert crowd.jill.texts(ended) == ["hers\n"]
        assert all(crowd.bob.jobs.status(job)["stats"]["tasksDone"] == 0 for job in jobs)


def test_jobs_whose_tasks_do_not_end_have_no_more_instances_than_there_are_places(crowd: Crowd) -> None:
    with crowd.hostile_jobs():
        assert SLOTS <= crowd.most_instances(3 * QUANTUM) <= SLOTS + extra(SLOTS)


def test_the_memory_of_all_instances_together_is_never_more_than_there_is(crowd: Crowd) -> None:
    fit = memory_mb() // TIER_MB
    if not fit:
        pytest.skip("this machine does not offer the largest tier")
    with crowd.hostile_jobs(memory=TIER_MB):
        assert crowd.most_instances(2 * QUANTUM) <= fit
