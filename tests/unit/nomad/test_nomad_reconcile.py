"""What is done about the difference between what Nomad has and what is wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.nomad.job_documents import Booking, Template, document
from scheduler.nomad.reconcile import Known, Purge, Register, Scale, reconcile, strand, understand, why_not

BOOKING = Booking(7, "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10", 0, 1024, 8)
PINNED = replace(BOOKING, node="n1")


def known(**more: Any) -> dict[str, Known]:
    one = Known(**{"booking": BOOKING, "index": 5, "count": 3, "live": 3, **more})
    return {one.id: one}


def test_what_is_not_there_is_registered():
    assert reconcile({BOOKING: 3}, {}) == [Register(BOOKING, 3)]


def test_nothing_is_registered_for_nothing():
    assert reconcile({BOOKING: 0}, {}) == []


def test_what_is_as_wanted_is_left_alone():
    assert reconcile({BOOKING: 3}, known()) == []


def test_more_are_asked_for():
    assert reconcile({BOOKING: 5}, known()) == [Scale(BOOKING.id, 5, 5)]


def test_instances_that_live_are_never_taken_back():
    assert reconcile({BOOKING: 1}, known()) == []


def test_what_was_not_placed_is_taken_back():
    assert reconcile({BOOKING: 1}, known(live=2)) == [Scale(BOOKING.id, 2, 5)]
    assert reconcile({BOOKING: 0}, known(live=1)) == [Scale(BOOKING.id, 1, 5)]


def test_one_that_ended_does_not_count_any_more():
    assert reconcile({BOOKING: 2}, known(ended=1, live=2)) == []
    assert reconcile({BOOKING: 3}, known(ended=1, live=2)) == [Scale(BOOKING.id, 3, 5)]


def stranded(gone: set[str], **more: Any) -> dict[str, Known]:
    """One on n1 and two on n2, of which these nodes are gone."""
    return {job: strand(one, gone) for job, one in known(at={"n1": 1, "n2": 2}, **more).items()}


def test_what_lives_on_nodes_that_are_gone_is_asked_for_once_more_elsewhere():
    assert reconcile({BOOKING: 3}, stranded({"n2"})) == [Scale(BOOKING.id, 5, 5)]
    assert reconcile({BOOKING: 3}, stranded({"n2"}, count=5)) == []
    assert reconcile({BOOKING: 3}, stranded({"n9"})) == []


def test_a_booking_on_a_node_that_is_gone_is_purged():
    assert reconcile({BOOKING: 0}, stranded({"n1", "n2"})) == [Purge(BOOKING.id)]


def test_what_was_asked_for_once_more_is_kept_when_the_node_is_back():
    assert reconcile({BOOKING: 3}, known(count=5, live=5, at={"n1": 3, "n2": 2})) == []


def test_what_is_empty_and_not_wanted_is_purged():
    assert reconcile({BOOKING: 0}, known(ended=3, live=0)) == [Purge(BOOKING.id)]


def test_what_is_over_is_purged_though_it_lives():
    assert reconcile({}, known(), over={BOOKING.id}) == [Purge(BOOKING.id)]


def test_jobs_of_others_are_left_alone():
    assert reconcile({}, known()) == []


def test_a_job_of_another_that_has_our_id_is_left_alone():
    other = replace(BOOKING, job="5f0c91aa-0000-4d0e-8b7a-2f1f6a3e9d10")
    assert reconcile({other: 2}, known()) == []


def job(count: int = 2, version: int = 1, **more: Any) -> dict[str, Any]:
    told = document(BOOKING, count, Template("c"))["Job"]
    return {**told, "Version": version, "JobModifyIndex": 9, "Stop": False, **more}


def allocation(status: str, version: int = 1, desired: str = "run") -> dict[str, Any]:
    return {"NodeName": "n1", "ClientStatus": status, "DesiredStatus": desired, "JobVersion": version}


def test_of_what_has_ended_only_the_present_version_counts():
    found = understand(job(4), [allocation("complete", 0), allocation("complete"), allocation("failed")], [], "c")
    assert found == Known(BOOKING, 9, 4, ended=2, failed=1)
    assert found.asked == 2


def test_what_nomad_has_stopped_or_lost_is_neither_live_nor_ended():
    allocations = [
        allocation("complete", desired="stop"),
        allocation("running", desired="evict"),
        allocation("lost", desired="stop"),
    ]
    assert understand(job(), [*allocations, allocation("pending")], [], "c") == Known(
        BOOKING, 9, 2, live=1, at={"n1": 1}
    )


@pytest.mark.parametrize("told", [job(Meta=None), job(ID="remora.other"), job(Meta={"remora_cluster": "c"})])
def test_a_job_that_is_not_of_this_cluster_is_not_known(told):
    assert understand(told, [], [], "c") is None


def test_a_blocked_evaluation_says_why():
    evaluation = {
        "Status": "blocked",
        "FailedTGAllocs": {"instance": {"DimensionExhausted": {"memory": 2}, "NodesEvaluated": 2}},
    }
    found = understand(job(), [], [evaluation, {"Status": "complete"}], "c")
    assert found is not None
    assert found.blocked == "no node has 1024 MiB of memory free"


@pytest.mark.parametrize(
    ("booking", "metrics", "sentence"),
    [
        (BOOKING, {"DimensionExhausted": {"memory": 1}}, "no node has 1024 MiB of memory free"),
        (BOOKING, {"DimensionExhausted": {"disk": 1}}, "no node has 8 GB of disk free"),
        (BOOKING, {"DimensionExhausted": {"cpu": 1}}, "no node has a share of its processors free"),
        (PINNED, {"DimensionExhausted": {"memory": 1}}, "node n1 does not have 1024 MiB of memory free"),
        (BOOKING, {"QuotaExhausted": ["memory"]}, "the quota for instances is used up"),
        (BOOKING, {"NodesEvaluated": 0}, "no node is ready for instances"),
        (BOOKING, {"NodesEvaluated": 2}, "no node takes instances"),
        (PINNED, {"NodesEvaluated": 2}, "node n1 is not there or takes no instances"),
    ],
)
def test_every_reason_is_a_sentence(booking, metrics, sentence):
    assert why_not(booking, metrics) == sentence


@given(wanted=st.integers(0, 6), count=st.integers(0, 6), ended=st.integers(0, 6), unplaced=st.integers(0, 3))
def test_after_what_is_done_there_is_nothing_more_to_do(wanted, count, ended, unplaced):
    """As Nomad does it: a new version forgets what has ended, keeps what lives, and places the rest."""
    ended = min(ended, count)
    live = max(0, count - ended - unplaced)
    had = Known(BOOKING, 5, count, ended, 0, live)
    steps = reconcile({BOOKING: wanted}, {BOOKING.id: had})
    if steps == [Purge(BOOKING.id)]:
        assert (wanted, live) == (0, 0)
        return
    for step in steps:
        assert isinstance(step, Scale)
        assert step.count >= live  # what lives is not Nomad's to end
        had = Known(BOOKING, 6, step.count, 0, 0, step.count)
    assert reconcile({BOOKING: wanted}, {BOOKING.id: had}) == []
    assert had.asked >= min(wanted, had.asked)
    assert had.asked >= wanted
