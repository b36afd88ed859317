"""One task: a table of state × event.

    waiting ──first input, or end of input──▶ ready ──leased──▶ leased ──┬─▶ committed
       (reduce tasks only)                      ▲                        ├─▶ failed
                                                └────── lost ────────────┘
    any of these three ──cancelled──▶ cancelled      ready ──unplaceable──▶ failed

Every pair has an entry, so every pair was thought about. Three rules are hidden in it:
a report counts only for the attempt that is leased; what the user's script did is never
tried again; what the system lost is, `MAX_RETRIES` times. A loss that is nobody's fault
(the whole service was stopped) costs no retry, or three restarts would fail a good job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import Outcome

MAX_RETRIES = 2


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
    """How a task stands. `attempt` numbers leases from 1; 0 is "never leased"."""

    state: TaskState
    attempt: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class InputArrived:
    """A reduce task has its first input, or knows that it will have none."""


@dataclass(frozen=True, slots=True)
class Leased:
    """An agent takes the task."""


@dataclass(frozen=True, slots=True)
class Reported:
    """An agent says how an attempt ended."""

    attempt: int
    outcome: Outcome
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease ended without a report. `counted` is False when the whole service was stopped."""

    counted: bool = True


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node has, or will have, room for an instance that could run the task."""

    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled."""


Event = InputArrived | Leased | Reported | Lost | Unplaceable | Cancelled


class Effect(StrEnum):
    """What is to be done beside writing the new state."""

    COMMIT = "commit"  # make the attempt's outputs visible
    SAVE = "save"  # save the failed attempt's stdout, stderr and core as objects
    DISCARD = "discard"  # throw away whatever the attempt left
    RETRIED = "retried"  # count a retry


@dataclass(frozen=True, slots=True)
class Step:
    """What an event does to a task. `error` is (code, message) of the record to write, if any."""

    task: Task
    effects: frozenset[Effect] = frozenset()
    error: tuple[str, str] | None = None


Handler = Callable[[Task, Event], Step]


def step(task: Task, event: Event) -> Step:
    """The one entry point: what `event` does to `task`."""
    return TRANSITIONS[task.state, type(event)](task, event)


def _unchanged(task: Task, event: Event) -> Step:
    return Step(task)


def _ready(task: Task, event: Event) -> Step:
    return Step(replace(task, state=TaskState.READY))


def _lease(task: Task, event: Event) -> Step:
    return Step(replace(task, state=TaskState.LEASED, attempt=task.attempt + 1))


def _discard(task: Task, event: Event) -> Step:
    return Step(task, frozenset({Effect.DISCARD}))


def _report(task: Task, event: Event) -> Step:
    assert isinstance(event, Reported)
    if event.attempt != task.attempt:
        return _discard(task, event)
    if event.outcome is Outcome.OK:
        return Step(replace(task, state=TaskState.COMMITTED), frozenset({Effect.COMMIT}))
    if event.outcome is Outcome.LOST:
        lost = _lost(task, Lost())
        return replace(lost, error=_error(event)) if lost.error else lost
    return Step(replace(task, state=TaskState.FAILED), frozenset({Effect.SAVE}), _error(event))


def _late(task: Task, event: Event) -> Step:
    """The same report again names blobs that are outputs by now, so nothing of it may be thrown away."""
    assert isinstance(event, Reported)
    return Step(task) if event.attempt == task.attempt else _discard(task, event)


def _error(event: Reported) -> tuple[str, str]:
    return event.code or JobErrorCode.INTERNAL, event.message or "internal error"


def _lost(task: Task, event: Event) -> Step:
    assert isinstance(event, Lost)
    if not event.counted:
        return _ready(task, event)
    if task.retries < MAX_RETRIES:
        again = replace(task, state=TaskState.READY, retries=task.retries + 1)
        return Step(again, frozenset({Effect.DISCARD, Effect.RETRIED}))
    return Step(
        replace(task, state=TaskState.FAILED),
        frozenset({Effect.DISCARD}),
        (JobErrorCode.INTERNAL, "internal error"),
    )


def _refuse(task: Task, event: Event) -> Step:
    assert isinstance(event, Unplaceable)
    return Step(replace(task, state=TaskState.FAILED), error=(JobErrorCode.TASK_INIT, event.message))


def _cancel(task: Task, event: Event) -> Step:
    return Step(replace(task, state=TaskState.CANCELLED))


def _cancel_running(task: Task, event: Event) -> Step:
    return replace(_cancel(task, event), error=(JobErrorCode.JOB_CANCELLED, "job was cancelled"))


TRANSITIONS: Mapping[tuple[TaskState, type[Event]], Handler] = {
    (TaskState.WAITING, InputArrived): _ready,
    (TaskState.WAITING, Leased): _unchanged,
    (TaskState.WAITING, Reported): _discard,
    (TaskState.WAITING, Lost): _unchanged,
    (TaskState.WAITING, Unplaceable): _unchanged,
    (TaskState.WAITING, Cancelled): _cancel,
    (TaskState.READY, InputArrived): _unchanged,
    (TaskState.READY, Leased): _lease,
    (TaskState.READY, Reported): _discard,
    (TaskState.READY, Lost): _unchanged,
    (TaskState.READY, Unplaceable): _refuse,
    (TaskState.READY, Cancelled): _cancel,
    (TaskState.LEASED, InputArrived): _unchanged,
    (TaskState.LEASED, Leased): _unchanged,
    (TaskState.LEASED, Reported): _report,
    (TaskState.LEASED, Lost): _lost,
    (TaskState.LEASED, Unplaceable): _unchanged,
    (TaskState.LEASED, Cancelled): _cancel_running,
    (TaskState.COMMITTED, Reported): _late,
    (TaskState.FAILED, Reported): _late,
    (TaskState.CANCELLED, Reported): _discard,
    **{(state, event): _unchanged for state in FINAL for event in (InputArrived, Leased, Lost, Unplaceable, Cancelled)},
}
