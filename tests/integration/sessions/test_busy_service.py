"""A session begins while a job of the same account has all slots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import needs_namespaces
from tests.support.services.objects import client
from tests.support.services.service import Service, serving
from tests.support.services.user import User
from tests.support.sessions import PROMPT, asked, ended, session

pytestmark = needs_namespaces
SLOTS = 2


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, User, str]]:
    """A service all of whose slots a job has that goes on for ever; its user, and the job."""
    with serving(tmp_path_factory.mktemp("busy") / "state", "--slots", str(SLOTS)) as running, client(running) as http:
        user = User(http)
        job = user.create("echo begun; sleep 3600")
        user.add(job, *(user.put(f"o{number}") for number in range(SLOTS * 4)))
        user.jobs.end_input(job)
        while len(list(user.jobs.tasks(job, state="running"))) < SLOTS:
            user.jobs.status(job, wait=1)
        yield running, user, job
        user.jobs.cancel(job)


def test_a_session_begins_on_a_busy_service(busy: tuple[Service, User, str], tmp_path: Path) -> None:
    service, user, job = busy
    with session(service, "mlogin") as running:
        running.read_until(PROMPT)
        assert asked(running, "echo $MANTA_USER") == f"{user.login}\n"
        assert user.jobs.status(job)["stats"]["tasksDone"] == 0
        running.type("exit\r")
        assert ended(running)[1] == 0
