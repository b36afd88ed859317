"""A supervisor is killed and started again while tasks run; their agents outlive it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User, reduce
from tests.support.variants import variants

LINES = b"".join(b"%d\n" % (n % 7) for n in range(40))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("cluster"), shared()) as running:
        yield running


@pytest.fixture(params=variants(["before the job is taken up", "after it"]))
def ends_early(request) -> bool:
    """Whether the tasks end while no supervisor owns their job."""
    return bool(request.param == "before the job is taken up")


def operation(user: User, kind: str, spec: dict, *inputs: str) -> str:
    output = {"path": user.path(f"{kind}-result"), "mode": "replace"}
    job = user.jobs.create(json.dumps({"type": kind, "spec": spec, "output": output}).encode())
    user.add(job, *inputs)
    user.jobs.end_input(job)
    return job


def attempts(user: User, job: str) -> list[tuple[str, str]]:
    """The attempts of an operation, and how each has ended."""
    return sorted((each["id"], each["state"]) for each in user.jobs.attempts(job))


def restart(cluster: Cluster, job: str, gate: Gate, ends_early: bool) -> None:
    """Kill the supervisor, start it again, and open the gate that tasks wait at before or after it owns the job."""
    old = cluster.parts["supervisor0"]
    before = cluster.living()[old.url]
    old.kill()
    new = cluster.supervisor("supervisor0", urlsplit(old.url).netloc)
    if ends_early:
        gate.open()

    def is_taken_up() -> bool:
        return before not in cluster.living().values() and cluster.owner(job) == new.name

    eventually_here(is_taken_up, "the new start owns the job")
    gate.open()


def test_tasks_of_a_map_go_on(cluster, ends_early):
    with cluster.user() as user, Gate() as gate:
        name = user.put("mapped", LINES)
        job = operation(user, "map", {"exec": f"{gate.wait('map')}; cat", "task_count": 2, "ordered": True}, name)
        gate.arrivals(2)
        restart(cluster, job, gate, ends_early)
        assert user.ended(job).status["status"] == "completed"
        assert user.get("map-result") == LINES
        assert {state for _, state in attempts(user, job)} == {"completed"}
        assert all(name.endswith(".1") for name, _ in attempts(user, job))


def test_tasks_that_read_what_was_shuffled_go_on(cluster, ends_early):
    with cluster.user() as user, Gate() as gate:
        name = user.put("counted", LINES)
        spec = {"reducer": {"exec": f"{gate.wait('reduce')}; uniq -c"}, "partition_count": 2}
        job = operation(user, "map_reduce", spec, name)
        gate.arrivals(2)
        restart(cluster, job, gate, ends_early)
        assert user.ended(job).status["status"] == "completed"
        assert sum(int(line.split()[0]) for line in user.get("map_reduce-result").splitlines()) == 40
        assert all(name.endswith(".1") for name, _ in attempts(user, job))


def test_tasks_of_a_job_of_phases_go_on_and_those_that_wait_behind_them(cluster, ends_early):
    with cluster.user() as user, Gate() as gate:
        job = user.create(f"({gate.wait('run')}) 2>/dev/null; cat", reduce("sort"))
        user.add(job, *(user.put(f"phases{n}", f"{n}\n".encode()) for n in range(2)))
        gate.arrivals(2)
        restart(cluster, job, gate, ends_early)
        ended = user.finish(job)
        assert (user.texts(ended), ended.errors, ended.stats["retries"]) == (["0\n1\n"], [], 0)
        tasks = [task for task in user.jobs.tasks(job) if task["phaseNum"] == 0]
        assert [task["attempts"] for task in tasks] == [1, 1]


def test_a_task_of_an_agent_that_is_gone_too_runs_again(cluster):
    with cluster.user() as user, Gate() as gate:
        job = operation(user, "map", {"exec": f"({gate.wait('run')}) 2>/dev/null; cat"}, user.put("lone", LINES))
        gate.arrivals(1)
        node = cluster.parts["node0"]
        node.kill()
        restart(cluster, job, gate, ends_early=True)
        cluster.agent("node0")
        gate.arrivals(1)
        gate.open()
        assert user.ended(job).status["status"] == "completed"
        assert user.get("map-result") == LINES
