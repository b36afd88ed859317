"""A service that is stopped in the middle of a job goes on with it when it starts again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.leftovers import assert_nothing_left, unnamed_blobs
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import User, reduce


@pytest.mark.parametrize("end", [Service.stop, Service.kill], ids=["Ctrl-C", "kill -9"])
def test_a_job_goes_on_after_a_restart_and_says_nothing_twice(tmp_path: Path, end: Callable[[Service], object]) -> None:
    service = Service(tmp_path / "state").start()
    with Gate() as gate:
        maps = f'cat; case "$MANTA_INPUT_OBJECT" in *held*) {gate.wait("map")};; esac'
        with client(service) as session:
            user = User(session)
            names = [user.put(name, f"{name}\n".encode()) for name in ("a", "b", "held")]
            job = user.create(maps, reduce(f"read line; echo $line; {gate.wait('reducer')}; cat"))
            user.add(job, *names)
            assert gate.arrivals(2) == ["map", "reducer"]
            user.wait(job, lambda status: status["stats"]["tasksDone"] == 2)
        assert end(service) in (0, None)
        gate.open()
        service.start()
        with client(service) as session:
            user = User(session)
            user.jobs.end_input(job)
            assert gate.arrivals(2) == ["map", "reducer"]
            gate.open()
            ended = user.ended(job)
            assert (ended.errors, ended.stats["retries"], ended.stats["outputs"]) == ([], 0, 1)
            assert sorted(user.texts(ended)[0].split()) == ["a", "b", "held"]
            user.wait(job, lambda status: "timeArchiveDone" in status)
    assert service.stop() == 0
    assert_nothing_left(service.state_dir)
    assert unnamed_blobs(service.state_dir) == []
