"""The table of where an intermediate stands: every pair has an answer, and in every order of events its rules hold."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.availability import TRANSITIONS, Availability, Event, kept, node_lost, step
from scheduler.engine.task import FINAL, TaskState

AWAITED = {Availability.LOST, Availability.RECOMPUTING}
GONE = AWAITED | {Availability.MAYBE_READ}
every_pair = pytest.mark.parametrize(("before", "event"), list(itertools.product(Availability, Event)))


def test_every_state_answers_every_event():
    assert {state: set(row) for state, row in TRANSITIONS.items()} == {state: set(Event) for state in Availability}


@every_pair
def test_an_event_that_happens_again_at_once_changes_nothing_more(before, event):
    """Pages are repeated after a crash, and reports come twice."""
    assert step(step(before, event), event) == step(before, event)


@every_pair
def test_only_a_producer_that_has_made_it_again_brings_an_input_back(before, event):
    if step(before, event) is Availability.HERE and before is not Availability.HERE:
        assert before in GONE and event is Event.RECOMPUTED


@every_pair
def test_an_input_is_recomputed_only_once_its_producer_knows(before, event):
    if step(before, event) is Availability.RECOMPUTING and before is not Availability.RECOMPUTING:
        assert (before, event) == (Availability.LOST, Event.PRODUCER_REOPENED)


@every_pair
def test_what_is_not_needed_is_needed_again_only_by_a_consumer_that_is_reopened(before, event):
    if before is Availability.UNNEEDED and step(before, event) is not before:
        assert event is Event.CONSUMER_REOPENED


@every_pair
def test_what_may_have_been_read_was_here_when_its_node_was_lost(before, event):
    if step(before, event) is Availability.MAYBE_READ and before is not Availability.MAYBE_READ:
        assert (before, event) == (Availability.HERE, Event.NODE_LOST_AFTER_READ)


@pytest.mark.parametrize("before", Availability)
def test_a_consumer_that_has_ended_needs_nothing(before):
    assert step(before, Event.CONSUMER_ENDED) is Availability.UNNEEDED


@pytest.mark.parametrize("before", GONE)
def test_no_attempt_that_has_ended_has_read_what_is_gone(before):
    assert step(before, Event.ATTEMPT_LOST) in AWAITED


@pytest.mark.parametrize("before", Availability)
def test_an_input_is_awaited_if_no_attempt_can_have_it(before):
    assert before.is_awaited is (before in AWAITED)


@pytest.mark.parametrize(("consumer", "read"), list(itertools.product(TaskState, (False, True))))
def test_the_loss_of_a_node_matters_by_what_the_consumer_has_read(consumer, read):
    after = step(Availability.HERE, node_lost(consumer, read))
    if consumer in FINAL:
        assert after is Availability.UNNEEDED
    else:
        assert after is (Availability.MAYBE_READ if read and consumer is TaskState.LEASED else Availability.LOST)


@pytest.mark.parametrize(("has_producer", "may_reopen"), list(itertools.product((False, True), repeat=2)))
def test_only_what_cannot_be_recomputed_is_kept_for_a_consumer_that_may_run_again(has_producer, may_reopen):
    after = kept(Availability.HERE, has_producer, may_reopen)
    assert (after is Availability.HERE) is (may_reopen and not has_producer)


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_whatever_happened_a_lost_input_comes_back_by_its_producer(history):
    state = Availability.HERE
    for event in history:
        state = step(state, event)
    state = step(step(state, Event.CONSUMER_ENDED), Event.CONSUMER_REOPENED)
    assert state is Availability.LOST
    assert step(step(state, Event.PRODUCER_REOPENED), Event.RECOMPUTED) is Availability.HERE
