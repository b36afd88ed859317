"""The state machine of one task: a table of state × event.

    waiting ──its input is there──▶ ready ──leased──▶ leased ──┬─▶ committed ──remake──▶ ready
            ◀──its input is gone──  ▲                          ├─▶ failed
                                    └───── lost, released ─────┘
    any of these three ──cancelled──▶ cancelled      ready ──unplaceable──▶ failed
    any of these three ──its input cannot be recomputed──▶ failed

A reduce task waits for its first input; a map task has one input, and waits only while that is
being recomputed. Every pair of state and event has an entry. Four rules explain the table:

- A report counts only for the attempt that is leased.
- A `Policy` says how often an attempt is tried again: one that the system lost, and one whose script failed.
  The outputs of all these attempts but the last are discarded.
- A loss that the task cannot have caused (the service was stopped, a node died, an input is gone)
  costs no retry, or three restarts would fail a good job. But a task that was leased `MAX_ATTEMPTS`
  times may itself be what kills nodes, so from then on its losses count, unless its agent took leave: what
  a task kills does not.
- A task commits once. A task that has to make again what its consumers have lost (`Remake`) ends as
  committed in any case: its new outputs only replace the lost ones (REMADE), and if it fails, its
  consumers fail (UNMADE). Late reports of its older attempts discard nothing, for they name blobs
  that have become outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import Outcome

MAX_RETRIES = 2
MAX_ATTEMPTS = 20
# The error codes that a phase's retries apply to. A failed init and an output without a name are not the task's own
# failures.
BY_ITSELF = (JobErrorCode.USER_TASK, JobErrorCode.TASK_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Policy:
    """The failure policy of a task: how often it is tried again after a loss, and after a failure of its own.

    `failures` of None: whatever the number, because the operation counts the failures of all its tasks together.
    `saves`: what each failed attempt has printed on stderr is saved, and not only that of the last one.
    """

    losses: int = MAX_RETRIES
    failures: int | None = 0
    saves: bool = False

    def retries_failure(self, code: str | None, failures: int) -> bool:
        """Whether a task that has failed with `code`, and `failures` times before, is tried again."""
        return code in BY_ITSELF and (self.failures is None or failures < self.failures)


PIPELINE = Policy()


class TaskState(StrEnum):
    """The state of a task: the rows of the table."""

    WAITING = "waiting"
    READY = "ready"
    LEASED = "leased"
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATES: Mapping[str, TaskState] = {state: state for state in TaskState}  # by their texts; a look-up takes less
FINAL = frozenset({TaskState.COMMITTED, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Task:
    """One task as the table sees it.

    `attempt` numbers leases from 1; 0 is "never leased". `again`: it has committed before. `retries` counts attempts
    that the system lost, `failures` attempts that failed by themselves and were retried.
    """

    state: TaskState
    attempt: int = 0
    retries: int = 0
    again: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class InputArrived:
    """A reduce task has its first input, or will have none; the input of a map task is available again."""


@dataclass(frozen=True, slots=True)
class Leased:
    """An agent takes the task."""


@dataclass(frozen=True, slots=True)
class Reported:
    """An agent reports how an attempt ended. `counted` is False when it was lost because its input is gone."""

    attempt: int
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease ended without a report. `counted` is False when the task cannot have caused that.

    `in_order`: its agent ended as it was told to, and said so.
    """

    counted: bool = True
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The lease is void: the job has a new supervisor, or its user has stopped the attempt. That costs no retry."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """The task is infeasible: no node has, or will have, room for its instance."""

    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled."""


@dataclass(frozen=True, slots=True)
class Remake:
    """An output of the task is lost and still needed."""


@dataclass(frozen=True, slots=True)
class InputLost:
    """The input of a map task is lost, and is being recomputed. A running attempt may still have it."""


@dataclass(frozen=True, slots=True)
class InputGone:
    """An input is lost, and cannot be recomputed."""

    message: str


Event = InputArrived | Leased | Reported | Lost | Released | Unplaceable | Cancelled | Remake | InputLost | InputGone


class Effect(StrEnum):
    """An effect: what the caller does besides writing the new state."""

    COMMIT = "commit"  # make the attempt's outputs visible
    SAVE = "save"  # save the failed attempt's stdout, stderr and core as objects
    DISCARD = "discard"  # discard all that the attempt left
    RETRIED = "retried"  # count a retry
    REOPENED = "reopened"  # a finished task is open again
    REMADE = "remade"  # put the attempt's outputs in the place of the lost ones
    UNMADE = "unmade"  # the lost outputs cannot be recomputed: fail the tasks that need them


@dataclass(frozen=True, slots=True)
class Step:
    """The result of an event for a task. `error` is (code, message) of the record to write, if any."""

    task: Task
    effects: frozenset[Effect] = frozenset()
    error: tuple[str, str] | None = None


COMMITS = frozenset({Effect.COMMIT})
# Takes a task, an event of its column in the table, and the failure policy.
Handler = Callable[[Task, Any, Policy], Step]


def step(task: Task, event: Event, policy: Policy = PIPELINE) -> Step:
    """The step that `event` causes for `task`: the one entry point of the table."""
    result = TRANSITIONS[task.state][type(event)](task, event, policy)
    return _committed_before(task, result) if task.again else result


def then(result: Step, event: Event, policy: Policy = PIPELINE) -> Step:
    """The step of two events: `result` came of the first, and `event` follows at once."""
    following = step(result.task, event, policy)
    return Step(following.task, result.effects | following.effects, following.error or result.error)


def _committed_before(task: Task, result: Step) -> Step:
    """The step of a task that has committed before, given its `result` by the table."""
    state, effects = result.task.state, result.effects
    if state is task.state:
        return Step(result.task)
    if Effect.COMMIT in effects:
        return Step(result.task, frozenset({Effect.REMADE}))
    if state is TaskState.FAILED:
        committed = replace(result.task, state=TaskState.COMMITTED)
        return Step(committed, frozenset({Effect.DISCARD, Effect.UNMADE}), result.error)
    return result


def _unchanged(task: Task, event: Event, policy: Policy) -> Step:
    return Step(task)


def _in(state: TaskState, task: Task) -> Task:
    """The task in another state. As `replace`, which takes as long as the rest of a step."""
    return Task(state, task.attempt, task.retries, task.again, task.failures)


def _ready(task: Task, event: InputArrived | Released, policy: Policy) -> Step:
    return Step(_in(TaskState.READY, task))


def _lease(task: Task, event: Leased, policy: Policy) -> Step:
    return Step(replace(task, state=TaskState.LEASED, attempt=task.attempt + 1))


def _discard(task: Task, event: Reported, policy: Policy) -> Step:
    return Step(task, frozenset({Effect.DISCARD}))


def _report(task: Task, event: Reported, policy: Policy) -> Step:
    if event.attempt != task.attempt:
        return _discard(task, event, policy)
    if event.outcome is Outcome.OK:
        return Step(_in(TaskState.COMMITTED, task), COMMITS)
    if event.outcome is Outcome.LOST:
        lost = _lost(task, Lost(event.counted), policy)
        return replace(lost, error=_error(event)) if lost.error else lost
    if policy.retries_failure(event.code, task.failures):
        again = replace(task, state=TaskState.READY, failures=task.failures + 1)
        return Step(again, frozenset({Effect.SAVE if policy.saves else Effect.DISCARD, Effect.RETRIED}))
    return Step(_in(TaskState.FAILED, task), frozenset({Effect.SAVE}), _error(event))


def _late(task: Task, event: Reported, policy: Policy) -> Step:
    """The step of a finished task for a report. The blobs of the attempt that counted are outputs, so they stay."""
    return Step(task) if event.attempt == task.attempt else _discard(task, event, policy)


def _error(event: Reported) -> tuple[str, str]:
    return event.code or JobErrorCode.INTERNAL, event.message or "internal error"


def _lost(task: Task, event: Lost, policy: Policy) -> Step:
    if event.in_order or (not event.counted and task.attempt < MAX_ATTEMPTS):
        return Step(_in(TaskState.READY, task), frozenset({Effect.DISCARD}))
    if task.retries < policy.losses:
        again = replace(task, state=TaskState.READY, retries=task.retries + 1)
        return Step(again, frozenset({Effect.DISCARD, Effect.RETRIED}))
    return Step(
        _in(TaskState.FAILED, task),
        frozenset({Effect.DISCARD}),
        (JobErrorCode.INTERNAL, "internal error"),
    )


def _refuse(task: Task, event: Unplaceable, policy: Policy) -> Step:
    return Step(_in(TaskState.FAILED, task), error=(JobErrorCode.TASK_INIT, event.message))


def _remake(task: Task, event: Remake, policy: Policy) -> Step:
    return Step(replace(task, state=TaskState.READY, again=True), frozenset({Effect.REOPENED}))


def _wait(task: Task, event: InputLost, policy: Policy) -> Step:
    return Step(_in(TaskState.WAITING, task))


def _give_up(task: Task, event: InputGone, policy: Policy) -> Step:
    return Step(_in(TaskState.FAILED, task), error=(JobErrorCode.INTERNAL, event.message))


def _cancel(task: Task, event: Cancelled, policy: Policy) -> Step:
    return Step(_in(TaskState.CANCELLED, task))


def _cancel_running(task: Task, event: Cancelled, policy: Policy) -> Step:
    return replace(_cancel(task, event, policy), error=(JobErrorCode.JOB_CANCELLED, "job was cancelled"))


TRANSITIONS: Mapping[TaskState, Mapping[type[Event], Handler]] = {
    TaskState.WAITING: {
        InputArrived: _ready,
        Leased: _unchanged,
        Reported: _discard,
        Lost: _unchanged,
        Released: _unchanged,
        Unplaceable: _unchanged,
        Cancelled: _cancel,
        Remake: _unchanged,
        InputLost: _unchanged,
        InputGone: _give_up,
    },
    TaskState.READY: {
        InputArrived: _unchanged,
        Leased: _lease,
        Reported: _discard,
        Lost: _unchanged,
        Released: _unchanged,
        Unplaceable: _refuse,
        Cancelled: _cancel,
        Remake: _unchanged,
        InputLost: _wait,
        InputGone: _give_up,
    },
    TaskState.LEASED: {
        InputArrived: _unchanged,
        Leased: _unchanged,
        Reported: _report,
        Lost: _lost,
        Released: _ready,
        Unplaceable: _unchanged,
        Cancelled: _cancel_running,
        Remake: _unchanged,
        InputLost: _unchanged,
        InputGone: _give_up,
    },
    TaskState.COMMITTED: {
        InputArrived: _unchanged,
        Leased: _unchanged,
        Reported: _late,
        Lost: _unchanged,
        Released: _unchanged,
        Unplaceable: _unchanged,
        Cancelled: _unchanged,
        Remake: _remake,
        InputLost: _unchanged,
        InputGone: _unchanged,
    },
    TaskState.FAILED: {
        InputArrived: _unchanged,
        Leased: _unchanged,
        Reported: _late,
        Lost: _unchanged,
        Released: _unchanged,
        Unplaceable: _unchanged,
        Cancelled: _unchanged,
        Remake: _unchanged,
        InputLost: _unchanged,
        InputGone: _unchanged,
    },
    TaskState.CANCELLED: {
        InputArrived: _unchanged,
        Leased: _unchanged,
        Reported: _discard,
        Lost: _unchanged,
        Released: _unchanged,
        Unplaceable: _unchanged,
        Cancelled: _unchanged,
        Remake: _unchanged,
        InputLost: _unchanged,
        InputGone: _unchanged,
    },
}
