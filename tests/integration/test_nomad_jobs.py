"""Jobs whose instances are booked: real supervisors, agents and launchers, and a Nomad that can be made to fail.

The same jobs run on a real Nomad in `test_nomad_live`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.fake_nomad import FakeNomad, Node, Remote, in_thread
from tests.support.postgres import shared
from tests.support.processes import Cluster, clustered
from tests.support.user import User, reduce

PATIENCE = 30.0


@pytest.fixture(scope="module")
def fake() -> Iterator[Remote]:
    with in_thread(Node("node0", 3000), Node("node1", 3000)) as remote:
        yield remote


@pytest.fixture(scope="module")
def cluster(fake: Remote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("nomad")
    with clustered(directory, shared(), supervisors=2, nodes=2, nomad=fake.nomad.url) as running:
        yield running


@pytest.fixture
def user(cluster: Cluster) -> Iterator[User]:
    with cluster.user() as user:
        yield user


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def gone(nomad: FakeNomad) -> bool:
    return not nomad.jobs and not nomad.live()


def test_a_job_gets_its_instances_from_allocations_and_leaves_none(fake, user):
    names = [user.put(f"word{n}", f"word{n % 3}\n".encode()) for n in range(30)]
    ended = user.run("cat", reduce("sort | uniq -c"), inputs=names)
    assert (ended.errors, ended.stats["retries"]) == ([], 0)
    assert [" ".join(line.split()) for text in user.texts(ended) for line in text.splitlines()] == [
        "10 word0", "10 word1", "10 word2",
    ]  # fmt: skip
    wait(lambda: fake.call(gone), "jobs or allocations are left")
    mine = fake.call(lambda nomad: [one for one in nomad.allocations if ended.job[:8] in one["JobID"]])
    assert mine
    assert {one["ClientStatus"] for one in mine} == {"complete"}
    jobs = fake.call(lambda nomad: [job for job in nomad.registered if ended.job[:8] in job])
    assert len(jobs) == len(set(jobs))
