"""Gateways, supervisors and agents as processes of their own, and what they survive."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.client.problem import Refused
from cli.service.demo import MAP, REDUCE
from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User, reduce


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with clustered(directory, shared(), gateways=2, supervisors=2, nodes=2) as running:
        yield running


def locally(texts: list[Path]) -> list[str]:
    words = subprocess.run(
        ["bash", "-c", f"cat {' '.join(map(str, texts))} | {MAP} | {REDUCE}"],
        capture_output=True,
        check=True,
        text=True,
    )
    return sorted(words.stdout.splitlines())


def test_a_word_count_over_two_nodes_gives_the_local_pipelines_answer(cluster, texts):
    spread = f"{MAP} | msplit -n 4 -f 2"
    with cluster.user("gateway0") as one, cluster.user("gateway1") as other:
        names = [one.put(text.name, text.read_bytes()) for text in texts]
        ended = other.run(spread, reduce(REDUCE, count=4), inputs=names)
        assert ended.errors == []
        lines = [line for name in ended.outputs for line in one.get(name).decode().splitlines()]
    assert sorted(lines) == locally(texts)


def test_jobs_that_come_by_one_gateway_are_seen_and_changed_by_the_other(cluster):
    with cluster.user("gateway0") as one, cluster.user("gateway1") as other:
        job = one.create("cat")
        other.add(job, other.put("seen", b"here\n"))
        assert one.lines(job, "in") == ["/jill/stor/seen"]
        other.wait(job, lambda status: status["stats"]["tasksDone"] == 1)
        ended = one.finish(job)
        assert one.texts(ended) == other.texts(ended) == ["here\n"]


def test_a_gateway_takes_jobs_for_the_images_that_it_was_told_of(cluster):
    with cluster.user() as user:
        user.jobs.cancel(user.create({"exec": "true", "image": "^99.0.0"}))
        with pytest.raises(Refused, match="98"):
            user.create({"exec": "true", "image": "98.x"})


def test_cancelling_by_a_gateway_ends_tasks_that_run(cluster):
    with cluster.user() as user, Gate() as gate:
        job = user.create(gate.wait("here"))
        user.add(job, user.put("waits"))
        gate.arrivals(1)
        user.jobs.cancel(job)
        assert user.jobs.status(job)["state"] == "done"
        assert gate.left() == 0  # it was killed


def test_a_gateway_shows_what_a_running_task_has_printed(cluster):
    with cluster.user() as user, Gate() as gate:
        job = user.create(f"echo here; {gate.wait()}")
        user.add(job, user.put("prints"))
        gate.arrivals(1)
        (task,) = user.jobs.tasks(job, state="running")
        page = user.jobs.log(job, task["number"], "stdout", 0, 2)
        assert (page.attempt, page.data, page.following) == (1, b"re\n", 5)


def families(text: str) -> set[str]:
    return {line.partition("{")[0] for line in text.splitlines() if line[:1] != "#"}


def test_both_supervisors_own_jobs(cluster):
    with cluster.user() as user:
        jobs = [user.create("cat") for _ in range(4)]
        owners = [owner_of(cluster, job) for job in jobs]
        assert set(owners) == {"supervisor0", "supervisor1"}
        for job in jobs:
            user.finish(job)


def test_a_supervisor_serves_agents_only_and_a_gateway_no_work(cluster):
    gateway, supervisor = cluster.parts["gateway0"].url, cluster.parts["supervisor0"].url
    assert httpx.get(f"{supervisor}/healthz").json() == {"status": "ok", "database": "ok", "blobs": "ok", "disk": "ok"}
    assert "remora_jobs_live" in httpx.get(f"{supervisor}/metrics").text
    assert httpx.get(f"{supervisor}/jill/public").status_code == 404
    assert httpx.get(f"{gateway}/healthz").status_code == 200
    assert {"remora_build_info", "remora_disk_free_bytes"} <= families(httpx.get(f"{gateway}/metrics").text)
    assert httpx.post(f"{gateway}/_agent/v1/poll").status_code == 403


def test_a_supervisor_that_is_told_to_end_gives_its_jobs_to_the_other_at_once(cluster):
    with cluster.user() as user:
        with Gate() as gate:
            job = running_job(user, gate, "left", 3)
            name = owner_of(cluster, job)
            assert cluster.parts[name].stop() == 0
            assert cluster.owner(job) not in (name, None)
        assert user.texts(user.finish(job)) == ["0\n1\n2\n"]
        cluster.supervisor(name)


def test_when_the_owner_is_killed_another_owns_the_job_in_time_and_it_ends_right(cluster):
    with cluster.user() as user:
        with Gate() as gate:
            job = running_job(user, gate, "kept", 3)
            name = owner_of(cluster, job)
            cluster.parts[name].kill()
            user.add(job, user.put("kept3", b"3\n"))  # while nobody knows yet
            owner_of(cluster, job, other_than=name)
        ended = user.finish(job)
        assert (user.texts(ended), ended.errors) == (["0\n1\n2\n3\n"], [])
        assert ended.stats["retries"] == 0
        cluster.supervisor(name)


def test_an_owner_that_slept_too_long_starts_anew_and_what_it_wrote_late_does_not_count(cluster):
    with cluster.user() as user:
        with Gate() as gate:
            job = running_job(user, gate, "slept", 3)
            name = owner_of(cluster, job)
            sleeper, before = cluster.parts[name], cluster.living()
            with sleeper.asleep():
                # It may have been stopped while it wrote: for so long nobody else can write.
                owner_of(cluster, job, other_than=name)
        ended = user.finish(job)
        assert (user.texts(ended), ended.errors, ended.stats["retries"]) == (["0\n1\n2\n"], [], 0)
        eventually_here(lambda: sleeper.url in cluster.living(), "it comes back")
        assert cluster.living()[sleeper.url] > max(before.values())


def running_job(user: User, gate: Gate, prefix: str, count: int) -> str:
    """A job with a task that waits at the gate; once that is gone, tasks go by."""
    job = user.create(f"({gate.wait('run')}) 2>/dev/null; cat", reduce("sort"))
    user.add(job, *(user.put(f"{prefix}{n}", f"{n}\n".encode()) for n in range(count)))
    gate.arrivals(1)
    return job


def owner_of(cluster: Cluster, job: str, other_than: str | None = None) -> str:
    """The supervisor that owns a job, as soon as it is another one."""

    def owner() -> str | None:
        name = cluster.owner(job)
        return name if name != other_than else None

    name = eventually_here(owner, f"a supervisor other than {other_than} owns the job")
    assert name is not None
    return name
