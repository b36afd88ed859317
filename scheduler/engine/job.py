"""Job: what follows from a job's counters: which reducers' input has ended, and whether the job is done.

A job is a row of phases, and *end of input* passes from each phase to the next. It has passed the job's own input when
that input is ended and every line was dispatched. It passes a phase when it has reached the phase and every task of
the phase is finished, so that no further output can come from it. When it reaches a reduce phase, the reducers learn
that no input will follow; when it has passed the last phase, the job is done. Map phases need not be told.

The decision reads only counters, so it costs the same for ten inputs and for ten million.

Example: map, reduce(2), map; 5 inputs, ended, all dispatched, 4 of 5 map tasks finished: end of input has not passed
the first phase, and nothing follows. The fifth finishes: end of input for the reducers. They finish and emit 2
objects, whose map tasks are made in the same transaction: the job is done once those are finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """Counters of one phase. `reducers` is 0 for a map. Tasks of a reduce phase are all issued at the start."""

    reducers: int
    issued: int
    finished: int
    input_ended: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Counters of one job. `dispatched` counts inputs that became tasks, inputs of reducers, or errors."""

    input_done: bool
    inputs: int
    dispatched: int
    phases: Sequence[Phase]
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class EndInput:
    """The decision that no input will follow for the reducers of this phase."""

    phase: int


@dataclass(frozen=True, slots=True)
class FinishJob:
    """The decision that every task is finished: the job's state becomes `done`."""


Decision = EndInput | FinishJob


def reopened(phases: Sequence[Phase]) -> list[int]:
    """The reduce phases whose input has ended, while some of it is lost and being recomputed.

    When a phase's input ends, all tasks before it are finished. If one is not, it has been reopened.
    """
    found, open_before = [], False
    for number, phase in enumerate(phases):
        if open_before and phase.reducers and phase.input_ended:
            found.append(number)
        open_before = open_before or phase.finished < phase.issued
    return found


def advance(job: Job) -> list[Decision]:
    """The decisions that follow from the counters, empty if none do.

    Repeating the call without a change is harmless.
    """
    if job.cancelled:
        return [FinishJob()]
    decisions: list[Decision] = []
    passed = job.input_done and job.dispatched == job.inputs
    for number, phase in enumerate(job.phases):
        if passed and phase.reducers and not phase.input_ended:
            decisions.append(EndInput(number))
        passed = passed and phase.finished == phase.issued
    return [*decisions, FinishJob()] if passed else decisions
