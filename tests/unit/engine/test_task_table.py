"""The table of task states: every pair has an answer, and the rules of the engine hold."""

import typing
from dataclasses import replace

import pytest

from scheduler.engine.task import (
    FINAL,
    MAX_ATTEMPTS,
    MAX_RETRIES,
    PIPELINE,
    TRANSITIONS,
    Cancelled,
    Effect,
    Event,
    InputArrived,
    InputGone,
    InputLost,
    Leased,
    Lost,
    Policy,
    Released,
    Remake,
    Reported,
    Task,
    TaskState,
    step,
)
from scheduler.model.wire import Outcome

EVENTS = typing.get_args(Event)
LEASED = Task(TaskState.LEASED, attempt=2, retries=0)


def ok(attempt: int) -> Reported:
    return Reported(attempt, Outcome.OK)


def test_every_state_answers_every_event():
    assert {state: set(row) for state, row in TRANSITIONS.items()} == {state: set(EVENTS) for state in TaskState}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("event", EVENTS)
def test_a_handler_stands_only_under_events_that_it_takes(state, event):
    taken = typing.get_type_hints(TRANSITIONS[state][event])["event"]
    assert event in (typing.get_args(taken) or (taken,))


def test_a_lease_numbers_the_attempt():
    assert step(Task(TaskState.READY, attempt=1), Leased()).task == Task(TaskState.LEASED, attempt=2)


def test_the_leased_attempt_commits():
    result = step(LEASED, ok(2))
    assert result.task.state is TaskState.COMMITTED
    assert result.effects == {Effect.COMMIT}


def test_an_older_attempt_changes_nothing_and_is_thrown_away():
    result = step(LEASED, ok(1))
    assert result.task == LEASED
    assert result.effects == {Effect.DISCARD}


@pytest.mark.parametrize("state", [TaskState.COMMITTED, TaskState.FAILED])
def test_the_same_report_again_keeps_what_it_committed(state):
    done = Task(state, attempt=2)
    assert step(done, ok(2)).effects == frozenset()
    assert step(done, ok(2)).task == done


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_left_only_to_make_again_what_is_lost(state):
    task = Task(state, attempt=1)
    for event in (InputArrived(), Leased(), ok(1), ok(2), Lost(), Lost(counted=False), Cancelled(), InputLost()):
        assert step(task, event).task == task
    assert (step(task, Remake()).task == task) is (state is not TaskState.COMMITTED)


def test_what_the_user_did_is_never_tried_again():
    result = step(LEASED, Reported(2, Outcome.FAILED, "UserTaskError", "user command exited with code 1"))
    assert result.task.state is TaskState.FAILED
    assert result.error == ("UserTaskError", "user command exited with code 1")
    assert result.effects == {Effect.SAVE}


@pytest.mark.parametrize("code", ["UserTaskError", "TaskTimeoutError"])
def test_a_phase_may_have_what_failed_by_itself_tried_again_so_often(code):
    task, again, failed = LEASED, 0, Reported(2, Outcome.FAILED, code, "no")
    while (result := step(task, failed, Policy(failures=3))).task.state is TaskState.READY:
        assert (result.effects, result.error) == ({Effect.DISCARD, Effect.RETRIED}, None)
        task, again = replace(result.task, state=TaskState.LEASED), again + 1
    assert again == 3
    assert (result.task.state, result.task.failures, result.task.retries) == (TaskState.FAILED, 3, 0)
    assert (result.effects, result.error) == ({Effect.SAVE}, (code, "no"))


@pytest.mark.parametrize("code", ["TaskInitError", "InternalError"])
def test_retries_of_a_phase_are_not_for_what_is_no_tasks_doing(code):
    assert step(LEASED, Reported(2, Outcome.FAILED, code, "no"), Policy(failures=3)).task.state is TaskState.FAILED


def test_an_operation_counts_failures_itself_and_keeps_what_each_one_said():
    worn_out = replace(LEASED, failures=1000)
    failed = Reported(2, Outcome.FAILED, "UserTaskError", "no")
    result = step(worn_out, failed, Policy(failures=None, saves=True))
    assert (result.task.state, result.task.failures) == (TaskState.READY, 1001)
    assert (result.effects, result.error) == ({Effect.SAVE, Effect.RETRIED}, None)


def test_a_policy_says_how_many_losses_in_all_a_task_survives():
    task, losses = LEASED, 0
    while (result := step(task, Lost(), Policy(losses=7))).task.state is TaskState.READY:
        task, losses = step(result.task, Leased()).task, losses + 1
    assert losses == 7 > PIPELINE.losses


def test_what_the_system_lost_is_tried_twice_again_and_then_fails():
    task, retries = LEASED, 0
    while (result := step(task, Lost())).task.state is TaskState.READY:
        retries += 1
        assert result.effects == {Effect.DISCARD, Effect.RETRIED}
        task = step(result.task, Leased()).task
    assert retries == MAX_RETRIES
    assert result.task.state is TaskState.FAILED
    assert result.error == ("InternalError", "internal error")


def test_an_agents_own_word_for_the_loss_is_reported_in_the_end():
    worn_out = Task(TaskState.LEASED, attempt=3, retries=MAX_RETRIES)
    result = step(worn_out, Reported(3, Outcome.LOST, "TaskKilledError", "task killed (excessive resource usage)"))
    assert result.error == ("TaskKilledError", "task killed (excessive resource usage)")


def test_a_stop_of_the_whole_service_costs_no_retry():
    assert step(LEASED, Lost(counted=False)).task == Task(TaskState.READY, attempt=2, retries=0)


@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPTS])
def test_a_lease_that_its_supervisor_does_not_outlive_costs_no_retry(attempt):
    result = step(Task(TaskState.LEASED, attempt), Released())
    assert (result.task, result.effects) == (Task(TaskState.READY, attempt), frozenset())


def test_a_task_that_is_lost_without_anybodys_fault_for_ever_fails_in_the_end():
    task, leases = Task(TaskState.READY), 0
    while task.state is TaskState.READY:
        task = step(step(task, Leased()).task, Lost(counted=False)).task
        leases += 1
    assert (task.state, leases) == (TaskState.FAILED, MAX_ATTEMPTS + MAX_RETRIES)


def test_a_task_whose_input_could_not_be_had_costs_no_retry():
    result = step(LEASED, Reported(2, Outcome.LOST, counted=False))
    assert (result.task, result.effects) == (Task(TaskState.READY, attempt=2), {Effect.DISCARD})


def test_a_committed_task_that_is_made_again_commits_nothing_twice():
    again = step(Task(TaskState.COMMITTED, attempt=1), Remake())
    assert again.task == Task(TaskState.READY, attempt=1, again=True)
    assert again.effects == {Effect.REOPENED}
    leased = step(again.task, Leased()).task
    assert step(leased, ok(1)).effects == frozenset()  # its blobs are outputs
    done = step(leased, ok(2))
    assert (done.task.state, done.effects) == (TaskState.COMMITTED, {Effect.REMADE})


def test_a_committed_task_that_cannot_make_it_again_stays_committed():
    leased = Task(TaskState.LEASED, attempt=2, again=True)
    result = step(leased, Reported(2, Outcome.FAILED, "UserTaskError", "it rained"))
    assert result.task.state is TaskState.COMMITTED
    assert result.effects == {Effect.DISCARD, Effect.UNMADE}
    assert result.error == ("UserTaskError", "it rained")


def test_a_map_task_waits_for_its_input_to_be_made_again_unless_it_runs():
    waiting = step(Task(TaskState.READY), InputLost()).task
    assert waiting.state is TaskState.WAITING
    assert step(waiting, InputArrived()).task.state is TaskState.READY
    assert step(LEASED, InputLost()).task == LEASED


def test_what_cannot_be_had_again_fails_its_task():
    result = step(LEASED, InputGone("it is gone"))
    assert result.task.state is TaskState.FAILED
    assert result.error == ("InternalError", "it is gone")


def test_cancelling_a_running_task_gives_its_error_and_a_waiting_one_none():
    assert step(LEASED, Cancelled()).error == ("JobCancelledError", "job was cancelled")
    assert step(Task(TaskState.WAITING), Cancelled()).error is None


def test_a_reduce_task_becomes_ready_by_its_first_input_only():
    assert step(Task(TaskState.WAITING), InputArrived()).task.state is TaskState.READY
    assert step(LEASED, InputArrived()).task == LEASED
