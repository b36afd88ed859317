"""Jobs whose instances are booked: real supervisors, agents and launchers, and a Nomad that can be made to fail.

The same jobs run on a real Nomad in `test_nomad_live`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from scheduler.nomad.job_documents import Booking, Template, document
from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.nomad import nomad_scenarios
from tests.support.nomad.fake_nomad import HANG, FakeNomad
from tests.support.nomad.fake_scheduler import Node
from tests.support.nomad.nomad_thread import Remote, in_thread
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User, reduce
from tests.support.sessions import PROMPT, asked, ended, session

ALL_BUT_RESERVE, MORE_THAN_SLOTS = 3, 8  # of four slots


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


def held(gate: Gate) -> str:
    """A command that waits while there is a gate, and then goes on."""
    return f"({gate.wait('here')}) 2>/dev/null; cat"


def none_left(fake) -> None:
    """Wait until Nomad has neither jobs nor allocations."""

    def left(nomad: FakeNomad) -> list[str]:
        running = [f"{one['JobID']} on {one['NodeName']}: {one['ClientStatus']}" for one in nomad.live()]
        return [*nomad.jobs, *running]

    eventually_here(lambda: not fake.call(left), "Nomad has neither jobs nor allocations")


def test_a_job_gets_its_instances_from_allocations_and_leaves_none(fake, user):
    names = [user.put(f"word{n}", f"word{n % 3}\n".encode()) for n in range(30)]
    ended = user.run("cat", reduce("sort | uniq -c"), inputs=names)
    assert (ended.errors, ended.stats["retries"]) == ([], 0)
    assert [" ".join(line.split()) for text in user.texts(ended) for line in text.splitlines()] == [
        "10 word0", "10 word1", "10 word2",
    ]  # fmt: skip
    none_left(fake)
    mine = fake.call(lambda nomad: [one for one in nomad.allocations if ended.job[:8] in one["JobID"]])
    assert mine
    assert {one["ClientStatus"] for one in mine} == {"complete"}
    jobs = fake.call(lambda nomad: [job for job in nomad.registered if ended.job[:8] in job])
    assert len(jobs) == len(set(jobs))


def test_an_outage_of_nomad_stops_no_task_that_has_an_instance(fake, user):
    with Gate() as gate:
        job = user.create(held(gate))
        user.add(job, *(user.put(f"out{n}", f"{n}\n".encode()) for n in range(5)))
        gate.arrivals(1)
        fake.call(lambda nomad: nomad.fail(".*", HANG))
    try:
        ended = user.finish(job)
    finally:
        fake.call(lambda nomad: nomad.heal())
    assert sorted(user.texts(ended)) == [f"{n}\n" for n in range(5)]
    assert (ended.errors, ended.stats["retries"]) == ([], 0)
    none_left(fake)


def test_who_waits_for_an_instance_while_nomad_is_out_reads_why_and_gets_one(fake, user):
    fake.call(lambda nomad: nomad.fail(".*", 500, "No cluster leader"))
    fake.call(lambda nomad: nomad.drop_streams())
    try:
        job = user.create("cat")
        user.add(job, user.put("late", b"late"))
        eventually_here(lambda: user.jobs.status(job).get("waiting"), "the job says why it waits")
        [why] = user.jobs.status(job)["waiting"]
        assert why == {
            "phase": 0, "reason": "instances cannot be booked now: the cluster's scheduler does not answer",
        }  # fmt: skip
    finally:
        fake.call(lambda nomad: nomad.heal())
    ended = user.finish(job)
    assert (user.texts(ended), ended.status.get("waiting")) == (["late"], None)


def test_a_tier_that_finds_no_room_waits_says_why_and_runs_when_there_is(fake, user):
    """The memory is another cluster's, whose instances are none of our business."""
    hog = Booking(999_997, "22222222-aaaa-4bbb-8ccc-dddddddddddd", 0, 1500, 2)
    document_of_hog = document(hog, 2, replace(nomad_scenarios.SLEEP, socket="600"))
    httpx.post(f"{fake.nomad.url}/v1/jobs", json=document_of_hog, trust_env=False).raise_for_status()
    job = user.create({"exec": "cat", "memory": 2048})
    user.add(job, user.put("large", b"large"))
    eventually_here(lambda: user.jobs.status(job).get("waiting"), "the job says why it waits")
    assert user.jobs.status(job)["waiting"] == [{"phase": 0, "reason": "no node has 2048 MiB of memory free"}]
    httpx.delete(f"{fake.nomad.url}/v1/job/{hog.id}?purge=true", trust_env=False).raise_for_status()
    fake.call(lambda nomad: nomad.grow("node0", 3000))  # it looks again
    assert user.texts(user.finish(job)) == ["large"]


def test_a_tier_that_nomad_can_never_place_fails_at_once(fake, user):
    """The machine has more memory than Nomad's node, which has 3000 MiB."""
    job = user.create({"exec": "cat", "memory": 4096})
    user.add(job, user.put("larger", b"larger"))
    [error] = user.finish(job).errors
    assert (error["code"], error["message"]) == (
        "TaskInitError", "failed to dispatch task: not enough memory available",
    )  # fmt: skip


def test_nothing_is_asked_for_anywhere_while_a_node_of_nomads_has_no_agent(fake, user):
    """As a node is for twenty seconds whose power has failed: Nomad would place instances there."""
    name = "node9"

    def appear(nomad: FakeNomad) -> None:
        nomad.nodes[name] = Node(name, 3000)
        nomad.drain(name, on=False)  # says so to who listens

    def disappear(nomad: FakeNomad) -> None:
        nomad.drain(name)
        del nomad.nodes[name]

    def known(change: Callable[[FakeNomad], None]) -> None:
        looked = len(fake.nomad.log)
        fake.call(change)
        eventually_here(lambda: fake.nomad.log[looked:].count("GET /v1/nodes") >= 2, "both supervisors know of it")

    known(appear)
    ended = user.run("cat", inputs=[user.put(f"named{n}", b"x") for n in range(4)])
    asked = {one for one in fake.nomad.registered if ended.job[:8] in one}
    known(disappear)
    assert asked
    assert not {one for one in asked if ".any." in one}
    assert {one["NodeName"] for one in fake.nomad.allocations if ended.job[:8] in one["JobID"]} <= {"node0", "node1"}


def test_a_name_that_is_somebody_elses_is_not_asked_for_all_the_time(fake, user):
    job = user.create("cat")
    taken = Booking(999_996, job, 0, 1024, 8)
    fake.call(lambda nomad: nomad.store(document(taken, 0, Template("another1"))["Job"]))
    asked = len(fake.nomad.log)
    user.add(job, user.put("taken", b"taken"))
    eventually_here(lambda: user.jobs.status(job).get("waiting"), "the job says why it waits")
    [why] = user.jobs.status(job)["waiting"]
    assert "has a job of that name that is not ours" in why["reason"]
    tried = [line for line in fake.nomad.log[asked:] if line.endswith(f" /v1/job/{taken.id}") and "GET" not in line]
    assert 1 <= len(tried) <= 6
    fake.call(lambda nomad: nomad.jobs.pop(taken.id))
    assert user.texts(user.finish(job)) == ["taken"]


def test_a_task_that_runs_when_its_place_is_wanted_back_may_end(fake, user):
    with Gate() as gate:
        job = user.create(held(gate))
        user.add(job, user.put("preempted", b"preempted"))
        gate.arrivals(1)
        [one] = fake.call(lambda nomad: [one for one in nomad.live() if job[:8] in one["JobID"]])
        fake.call(lambda nomad: nomad.preempt(one))
    ended = user.finish(job)
    assert (user.texts(ended), ended.errors, ended.stats["retries"]) == (["preempted"], [], 0)
    eventually_here(lambda: one["ClientStatus"] == "complete", "its launcher ends")


@pytest.mark.parametrize("how", ["lost", "killed"])
def test_a_task_whose_place_is_gone_runs_elsewhere_and_that_costs_no_retry(fake, user, how):
    with Gate() as gate:
        job = user.create(held(gate))
        user.add(job, user.put(f"gone-{how}", b"gone"))
        gate.arrivals(1)
        [one] = fake.call(lambda nomad: [one for one in nomad.live() if job[:8] in one["JobID"]])
        fake.call(lambda nomad: nomad.forget(one) if how == "lost" else nomad.kill(one))
        gate.arrivals(1)
    ended = user.finish(job)
    assert (user.texts(ended), ended.errors, ended.stats["retries"]) == (["gone"], [], 0)


def test_a_drain_ends_what_runs_and_the_rest_runs_elsewhere(fake, user):
    with Gate() as gate:
        job = user.create(held(gate))
        user.add(job, *(user.put(f"drain{n}", f"{n}\n".encode()) for n in range(8)))
        gate.arrivals(1)
        fake.call(lambda nomad: nomad.drain("node0"))
    ended = user.finish(job)
    fake.call(lambda nomad: nomad.drain("node0", on=False))
    assert sorted(user.texts(ended)) == [f"{n}\n" for n in range(8)]
    assert (ended.errors, ended.stats["retries"]) == ([], 0)


def test_instances_that_fail_at_once_are_not_asked_for_all_the_time(fake, user):
    fake.call(lambda nomad: setattr(nomad, "program", "/bin/false"))
    try:
        job = user.create("cat")
        user.add(job, user.put("failing", b"x"))
        eventually_here(lambda: user.jobs.status(job).get("waiting"), "the job says why it waits")
        [why] = user.jobs.status(job)["waiting"]
        assert why["reason"] == "instances end as soon as they are started"
        tried = fake.call(lambda nomad: len([one for one in nomad.allocations if job[:8] in one["JobID"]]))
        assert tried <= 8
    finally:
        fake.call(lambda nomad: setattr(nomad, "program", None))
    assert user.texts(user.finish(job)) == ["x"]


def test_when_the_owner_is_killed_its_instances_are_the_next_owners(fake, cluster, user):
    with Gate() as gate:
        job = user.create(held(gate))
        user.add(job, *(user.put(f"owner{n}", f"{n}\n".encode()) for n in range(4)))
        gate.arrivals(1)
        name = cluster.owner(job)
        cluster.parts[name].kill()
        eventually_here(lambda: cluster.owner(job) not in (name, None), "another supervisor has taken over")
    ended = user.finish(job)
    assert sorted(user.texts(ended)) == [f"{n}\n" for n in range(4)]
    assert (ended.errors, ended.stats["retries"]) == ([], 0)
    jobs = fake.call(lambda nomad: [one for one in nomad.registered if job[:8] in one])
    none_left(fake)
    assert len(jobs) == len(set(jobs))
    cluster.supervisor(name)


def test_jobs_that_nobody_owns_any_more_are_purged_and_other_clusters_are_not(fake, cluster, user):
    """A supervisor that starts finds what an earlier one left."""
    template = fake.call(lambda nomad: nomad.last_template())
    left = Booking(999_999, "00000000-aaaa-4bbb-8ccc-dddddddddddd", 0, 128, 2)
    other = Booking(999_998, "11111111-aaaa-4bbb-8ccc-dddddddddddd", 0, 128, 2)
    fake.call(lambda nomad: nomad.store(document(left, 0, Template(template))["Job"]))
    fake.call(lambda nomad: nomad.store(document(other, 0, Template("another1"))["Job"]))
    fake.call(lambda nomad: nomad.drop_streams())  # so everything is looked at
    eventually_here(lambda: fake.call(lambda nomad: left.id not in nomad.jobs), "the job of the lost one is removed")
    assert fake.call(lambda nomad: other.id in nomad.jobs)
    fake.call(lambda nomad: nomad.jobs.pop(other.id))


def test_a_session_begins_on_a_cluster_all_of_whose_slots_are_taken(fake, cluster, user):
    with Gate() as gate:
        path = user.put("busy")
        jobs = [user.create({"exec": held(gate), "memory": 256}) for _ in range(MORE_THAN_SLOTS)]
        for job in jobs:
            user.add(job, path)
        gate.arrivals(ALL_BUT_RESERVE)
        with session(SimpleNamespace(env=cluster.client_env("gateway0")), "mlogin", "--memory", "256") as running:
            running.read_until(PROMPT)
            assert asked(running, "echo $MANTA_USER") == f"{user.login}\n"
            assert not any(user.jobs.status(job)["stats"]["tasksDone"] for job in jobs)
            running.type("exit\r")
            assert ended(running)[1] == 0
        for job in jobs:
            user.jobs.cancel(job)
    none_left(fake)
