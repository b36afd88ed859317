"""What the fake Nomad is trusted for, on a real one; skipped where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from scheduler.nomad.job_documents import document
from tests.integration.nomad.test_nomad_fake import differences
from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.nomad import nomad_scenarios, real_nomad
from tests.support.nomad.fake_nomad import FakeNomad
from tests.support.nomad.fake_scheduler import Node
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User, reduce

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(real_nomad.why_not() is not None, reason=str(real_nomad.why_not())),
]


@pytest.fixture(scope="module")
def nomad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_nomad.running(tmp_path_factory.mktemp("n"), "node0") as url:
        yield url


@pytest.fixture(scope="module")
def cluster(nomad: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("c"), shared(), supervisors=2, nodes=1, nomad=nomad) as running:
        yield running


@pytest.fixture
def user(cluster: Cluster) -> Iterator[User]:
    with cluster.user() as user:
        yield user


def ask(nomad: str, path: str) -> Any:
    return httpx.get(f"{nomad}/v1/{path}", trust_env=False, timeout=20).json()


@pytest.mark.parametrize("scenario", sorted(nomad_scenarios.SCENARIOS))
async def test_it_still_answers_as_recorded_and_as_the_fake_one(nomad, scenario):
    found = await nomad_scenarios.perform(nomad, scenario)
    real = json.loads((nomad_scenarios.RECORDINGS / f"{scenario}.json").read_text())["exchanges"]
    assert [(one["name"], one["status"], one["type"]) for one in found] == [
        (one["name"], one["status"], one["type"]) for one in real
    ]
    async with FakeNomad(Node("node0", 16_000), run=True) as fake:
        ours = await nomad_scenarios.perform(fake.url, scenario)
    for live, one in zip(found, ours, strict=True):
        if "body" in live and live["name"] != "plan":
            assert differences(live["body"], one["body"], live["name"]) == []


def test_a_word_count_runs_in_allocations_and_leaves_no_job(nomad, user):
    names = [user.put(f"word{n}", f"word{n % 3}\n".encode()) for n in range(30)]
    ended = user.run("cat", reduce("sort | uniq -c"), inputs=names)
    assert (ended.errors, ended.stats["retries"]) == ([], 0)
    assert [" ".join(line.split()) for text in user.texts(ended) for line in text.splitlines()] == [
        "10 word0", "10 word1", "10 word2",
    ]  # fmt: skip
    eventually_here(lambda: ask(nomad, "jobs?prefix=remora.") == [], "no job is left")


def test_an_instance_is_an_allocation_of_its_tier(nomad, user):
    with Gate() as gate:
        job = user.create({"exec": gate.wait("here"), "memory": 256, "disk": 4})
        user.add(job, user.put("one", b""))
        gate.arrivals(1)
        eventually_here(
            lambda: [one["ClientStatus"] for one in booked(nomad, job)] == ["running"], "an allocation runs"
        )
        [one] = booked(nomad, job)
        resources = ask(nomad, f"allocation/{one['ID']}")["Resources"]
        assert (resources["MemoryMB"], resources["DiskMB"]) == (256 + 32, 4 * 1024)
    assert user.finish(job).errors == []


def booked(nomad: str, job: str) -> list[dict[str, Any]]:
    return [one for one in ask(nomad, "allocations") if job[:8] in one["JobID"]]


def test_a_tier_that_finds_no_room_waits_and_says_why(nomad, user):
    """Somebody else has taken the memory: a job of another cluster, which is none of our business."""
    [node] = ask(nomad, "nodes")
    total = ask(nomad, f"node/{node['ID']}")["NodeResources"]["Memory"]["MemoryMB"]
    hog = replace(nomad_scenarios.ANY, memory_mb=total - 2000)
    template = replace(nomad_scenarios.SLEEP, socket="600")
    httpx.post(f"{nomad}/v1/job/{hog.id}", json=document(hog, 1, template), trust_env=False).raise_for_status()
    job = user.create({"exec": "cat", "memory": 2048})
    user.add(job, user.put("large", b"x"))
    eventually_here(lambda: user.jobs.status(job).get("waiting"), "the job says why it waits")
    assert user.jobs.status(job)["waiting"] == [{"phase": 0, "reason": "no node has 2048 MiB of memory free"}]
    assert [one["ID"] for one in ask(nomad, f"jobs?prefix={hog.id}")] == [hog.id]
    httpx.delete(f"{nomad}/v1/job/{hog.id}?purge=true", trust_env=False)
    ended = user.finish(job)
    assert user.texts(ended) == ["x"]
    assert "waiting" not in ended.status


def test_a_drain_ends_what_runs_and_begins_nothing(nomad, user):
    with Gate() as gate:
        job = user.create(gate.wait("here"))
        user.add(job, user.put("drained", b""))
        gate.arrivals(1)
        [node] = ask(nomad, "nodes")
        drain = {"DrainSpec": {"Deadline": 60_000_000_000, "IgnoreSystemJobs": True}}
        httpx.post(f"{nomad}/v1/node/{node['ID']}/drain", json=drain, trust_env=False).raise_for_status()
        late = user.create("cat")
        user.add(late, user.put("late", b"late"))
        eventually_here(lambda: user.jobs.status(late).get("waiting"), "the job says why it waits")
    assert user.finish(job).errors == []
    eventually_here(lambda: not ask(nomad, "nodes")[0]["Drain"], "the node is drained")
    open_again = {"Eligibility": "eligible"}
    httpx.post(f"{nomad}/v1/node/{node['ID']}/eligibility", json=open_again, trust_env=False).raise_for_status()
    assert user.texts(user.finish(late)) == ["late"]
