"""The table of operations' statuses: every pair has an entry, and the rules of the module hold."""

import itertools

import pytest

from scheduler.engine.operations.status import (
    ENDING,
    FINAL,
    QUEUED,
    TRANSITIONS,
    Event,
    Stage,
    Status,
    are_over,
    state_of,
    step,
    unplanned,
)

WAY = [
    Event.STARTED,
    Event.PINNED,
    Event.PLACED,
    Event.PLANNED,
    Event.STAGES_OVER,
    Event.PUBLISHED,
]


def test_every_status_answers_every_event():
    assert {status: set(row) for status, row in TRANSITIONS.items()} == {status: set(Event) for status in Status}


def test_an_operation_goes_through_all_its_statuses_in_order():
    passed = list(itertools.accumulate(WAY, step, initial=Status.INITIALIZING))
    assert [str(status) for status in passed] == [
        "initializing", "preparing", "pending", "materializing", "running", "completing", "completed",
    ]  # fmt: skip
    assert [state_of(status) for status in passed] == [*["queued"] * 3, *["running"] * 3, "done"]


@pytest.mark.parametrize("status", sorted(FINAL))
@pytest.mark.parametrize("event", Event)
def test_what_is_over_never_changes(status, event):
    assert step(status, event) is status


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL - ENDING))
def test_what_is_not_over_can_fail_or_be_aborted(status):
    assert step(step(status, Event.FAILED), Event.DRAINED) is Status.FAILED
    assert step(step(status, Event.ABORT_ASKED), Event.DRAINED) is Status.ABORTED


@pytest.mark.parametrize("status", sorted(ENDING))
@pytest.mark.parametrize("event", sorted(set(Event) - {Event.DRAINED}))
def test_the_first_reason_to_end_counts(status, event):
    assert step(status, event) is status


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.COMPLETING}))
def test_only_what_completes_is_published(status):
    assert (step(status, Event.PUBLISHED) is Status.COMPLETED) == (status is Status.COMPLETED)


def test_a_stage_is_planned_when_all_before_it_are_over():
    open_stage, over, later = Stage(True, 3, 2), Stage(True, 3, 3), Stage(False, 0, 0)
    assert unplanned([later, later]) == 0
    assert unplanned([open_stage, later]) is None
    assert unplanned([over, later]) == 1
    assert unplanned([over, over]) is None
    assert (are_over([over, later]), are_over([over, over]), are_over([])) == (False, True, True)


def test_an_operation_that_is_completed_early_only_finishes_what_puts_its_output_together():
    for status in QUEUED | {Status.MATERIALIZING, Status.RUNNING}:
        assert step(status, Event.COMPLETE_ASKED) is Status.RUNNING
    for status in ENDING | FINAL | {Status.COMPLETING}:
        assert step(status, Event.COMPLETE_ASKED) is status
