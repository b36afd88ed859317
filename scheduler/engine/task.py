"""One task: a table of state × event.

    waiting ──its input is there──▶ ready ──leased──▶ leased ──┬─▶ committed ──remake──▶ ready
            ◀──its input is gone──  ▲                          ├─▶ failed
                                    └───── lost, released ─────┘
    any of these three ──cancelled──▶ cancelled      ready ──unplaceable──▶ failed
    any of these three ──its input cannot be had again──▶ failed

A reduce task waits for its first input; a map task has one, and waits only while that is being
made again. Every pair has an entry, so every pair was thought about. Four rules are hidden in it:

- A report counts only for the attempt that is leased.
- What the system lost is tried again, `MAX_RETRIES` times. What the user's script did is not, unless the phase
  says how often (`Reported.retries`); what of these attempts came before the last is thrown away.
- A loss that is nobody's fault (the service was stopped, a node died, an input is gone) costs no
  retry, or three restarts would fail a good job. But a task that was leased `MAX_ATTEMPTS` times
  may itself be what kills nodes, so from then on its losses count.
- A task commits once. One that has to make again what its consumers have lost (`Remake`) stays
  committed whatever becomes of that: what it makes only replaces what is gone (REMADE), and if it
  cannot, its consumers are told (UNMADE). Reports of its older attempts throw nothing away, for
  they name blobs that have been outputs since.
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
# What a phase's retries are for. That an instance cannot be initialized, or an output not be named, is no task's doing.
BY_ITSELF = (JobErrorCode.USER_TASK, JobErrorCode.TASK_TIMEOUT)


class TaskState(StrEnum):
    WAITING = "waiting"
    READY = "ready"
    LEASED = "leased"
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({TaskState.COMMITTED, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Task:
    """How a task stands. `attempt` numbers leases from 1; 0 is "never leased". `again`: it has committed before.

    `retries` counts what the system lost, `failures` what failed by itself and was tried again.
    """

    state: TaskState
    attempt: int = 0
    retries: int = 0
    again: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class InputArrived:
    """A reduce task has its first input, or knows that it will have none; a map task has its input again."""


@dataclass(frozen=True, slots=True)
class Leased:
    """An agent takes the task."""


@dataclass(frozen=True, slots=True)
class Reported:
    """An agent says how an attempt ended. `counted` is False when it was lost because its input is gone.

    `retries`: how often a task of its phase that fails by itself is tried again.
    """

    attempt: int
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    counted: bool = True
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease ended without a report. `counted` is False when that is nobody's fault."""

    counted: bool = True


@dataclass(frozen=True, slots=True)
class Released:
    """The job has another supervisor, so the leases that the last one gave are void. That costs nothing."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node has, or will have, room for an instance that could run the task."""

    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled."""


@dataclass(frozen=True, slots=True)
class Remake:
    """Something that the task made is gone and still needed."""


@dataclass(frozen=True, slots=True)
class InputLost:
    """The input of a map task is gone, and is being made again. An attempt that runs may have it still."""


@dataclass(frozen=True, slots=True)
class InputGone:
    """An input is gone, and cannot be made again."""

    message: str


Event = InputArrived | Leased | Reported | Lost | Released | Unplaceable | Cancelled | Remake | InputLost | InputGone


class Effect(StrEnum):
    """What is to be done beside writing the new state."""

    COMMIT = "commit"  # make the attempt's outputs visible
    SAVE = "save"  # save the failed attempt's stdout, stderr and core as objects
    DISCARD = "discard"  # throw away whatever the attempt left
    RETRIED = "retried"  # count a retry
    REOPENED = "reopened"  # a task that was finished is not
    REMADE = "remade"  # put the attempt's outputs in the place of those that are gone
    UNMADE = "unmade"  # what is gone cannot be made again: fail those that need it


@dataclass(frozen=True, slots=True)
class Step:
    """What an event does to a task. `error` is (code, message) of the record to write, if any."""

    task: Task
    effects: frozenset[Effect] = frozenset()
    error: tuple[str, str] | None = None


# Takes a task, and an event of the column that it stands in.
Handler = Callable[[Task, Any], Step]


def step(task: Task, event: Event) -> Step:
    """The one entry point: what `event` does to `task`."""
    result = TRANSITIONS[task.state][type(event)](task, event)
    return _committed_before(task, result) if task.again else result


def then(result: Step, event: Event) -> Step:
    """What follows if `event` happens at once after what led to `result`."""
    following = step(result.task, event)
    return Step(following.task, result.effects | following.effects, following.error or result.error)


def _committed_before(task: Task, result: Step) -> Step:
    """What a step means for a task that has committed before."""
    state, effects = result.task.state, result.effects
    if state is task.state:
        return Step(result.task)
    if Effect.COMMIT in effects:
        return Step(result.task, frozenset({Effect.REMADE}))
    if state is TaskState.FAILED:
        committed = replace(result.task, state=TaskState.COMMITTED)
        return Step(committed, frozenset({Effect.DISCARD, Effect.UNMADE}), result.error)
    return result


def _unchanged(task: Task, event: Event) -> Step:
    return Step(task)


def _ready(task: Task, event: InputArrived | Released) -> Step:
    return Step(replace(task, state=TaskState.READY))


def _lease(task: Task, event: Leased) -> Step:
    return Step(replace(task, state=TaskState.LEASED, attempt=task.attempt + 1))


def _discard(task: Task, event: Reported) -> Step:
    return Step(task, frozenset({Effect.DISCARD}))


def _report(task: Task, event: Reported) -> Step:
    if event.attempt != task.attempt:
        return _discard(task, event)
    if event.outcome is Outcome.OK:
        return Step(replace(task, state=TaskState.COMMITTED), frozenset({Effect.COMMIT}))
    if event.outcome is Outcome.LOST:
        lost = _lost(task, Lost(event.counted))
        return replace(lost, error=_error(event)) if lost.error else lost
    if event.code in BY_ITSELF and task.failures < event.retries:
        again = replace(task, state=TaskState.READY, failures=task.failures + 1)
        return Step(again, frozenset({Effect.DISCARD, Effect.RETRIED}))
    return Step(replace(task, state=TaskState.FAILED), frozenset({Effect.SAVE}), _error(event))


def _late(task: Task, event: Reported) -> Step:
    """The same report again names blobs that are outputs by now, so nothing of it may be thrown away."""
    return Step(task) if event.attempt == task.attempt else _discard(task, event)


def _error(event: Reported) -> tuple[str, str]:
    return event.code or JobErrorCode.INTERNAL, event.message or "internal error"


def _lost(task: Task, event: Lost) -> Step:
    if not event.counted and task.attempt < MAX_ATTEMPTS:
        return Step(replace(task, state=TaskState.READY), frozenset({Effect.DISCARD}))
    if task.retries < MAX_RETRIES:
        again = replace(task, state=TaskState.READY, retries=task.retries + 1)
        return Step(again, frozenset({Effect.DISCARD, Effect.RETRIED}))
    return Step(
        replace(task, state=TaskState.FAILED),
        frozenset({Effect.DISCARD}),
        (JobErrorCode.INTERNAL, "internal error"),
    )


def _refuse(task: Task, event: Unplaceable) -> Step:
    return Step(replace(task, state=TaskState.FAILED), error=(JobErrorCode.TASK_INIT, event.message))


def _remake(task: Task, event: Remake) -> Step:
    return Step(replace(task, state=TaskState.READY, again=True), frozenset({Effect.REOPENED}))


def _wait(task: Task, event: InputLost) -> Step:
    return Step(replace(task, state=TaskState.WAITING))


def _give_up(task: Task, event: InputGone) -> Step:
    return Step(replace(task, state=TaskState.FAILED), error=(JobErrorCode.INTERNAL, event.message))


def _cancel(task: Task, event: Cancelled) -> Step:
    return Step(replace(task, state=TaskState.CANCELLED))


def _cancel_running(task: Task, event: Cancelled) -> Step:
    return replace(_cancel(task, event), error=(JobErrorCode.JOB_CANCELLED, "job was cancelled"))


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
