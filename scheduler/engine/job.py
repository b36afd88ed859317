"""A job: from its counters, what follows.

A job is a row of phases, and *end of input* runs down that row like a tide. It has passed
the job's own input when input is ended and every line was dispatched. It passes a phase when
it has reached it and every task made for that phase is finished: nothing can come out of the
phase any more. Reaching a reduce phase tells its reducers that no input will follow; reaching
the far end is the end of the job. Map phases need not be told.

Only counters are looked at, so the answer costs the same for ten inputs and for ten million.
Example: map, reduce(2), map; 5 inputs, ended, all dispatched, 4 of 5 map tasks finished: the
tide stands before the first phase's end, nothing follows. The fifth finishes: end of input for
the reducers. They finish and emit 2 objects, whose map tasks exist by the same transaction: the
tide waits for those, then the job is done.
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
    """Counters of one job. `dispatched` counts inputs that became tasks, task inputs, or errors."""

    input_done: bool
    inputs: int
    dispatched: int
    phases: Sequence[Phase]
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class EndInput:
    """No input will follow for the reducers of this phase."""

    phase: int


@dataclass(frozen=True, slots=True)
class FinishJob:
    """Everything is done: the state becomes `done`."""


Decision = EndInput | FinishJob


def reopened(phases: Sequence[Phase]) -> list[int]:
    """Reduce phases whose input has ended, while some of it is gone and being made again.

    When a phase's input ends, all tasks before it are finished. If one is not, it has been reopened.
    """
    found, open_before = [], False
    for number, phase in enumerate(phases):
        if open_before and phase.reducers and phase.input_ended:
            found.append(number)
        open_before = open_before or phase.finished < phase.issued
    return found


def advance(job: Job) -> list[Decision]:
    """What follows from the counters; empty if nothing does yet. Asking again without a change is harmless."""
    if job.cancelled:
        return [FinishJob()]
    decisions: list[Decision] = []
    passed = job.input_done and job.dispatched == job.inputs
    for number, phase in enumerate(job.phases):
        if passed and phase.reducers and not phase.input_ended:
            decisions.append(EndInput(number))
        passed = passed and phase.finished == phase.issued
    return [*decisions, FinishJob()] if passed else decisions
