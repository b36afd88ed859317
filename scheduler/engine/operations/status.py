"""The status of an operation: a table of status × event.

    initializing ─▶ preparing ─▶ pending ─▶ materializing ─▶ running ─▶ completing ─▶ completed
    any of these six before the last ──failed──▶ failing ──drained──▶ failed
    any of these six before the last ──abort asked──▶ aborting ──drained──▶ aborted

Each arrow is one transaction, and what an operation has to do next follows from its status alone: so a supervisor that
takes an operation over goes on where the last one stopped. Five rules explain the table:

- *preparing* pins the inputs: what is removed or replaced afterwards changes nothing for this operation.
- *pending* waits for the place of another operation of the same account; *materializing* makes the first tasks.
- An operation that is *completed early* runs as if its input had ended: the stages that are left make of what there is.
- *completing* publishes all outputs in one transaction, once no process is left of attempts that were stopped. Until
  that commits the operation can still fail or be aborted.
- *failing* and *aborting* drain: they last until no process of it is left on any node, and outputs that were never
  published are gone. The first reason counts: an operation that fails cannot be aborted any more.

`reviving` is a status that users see and that is never recorded: the operation has no supervisor at the moment.

Clients of Manta's jobs know three states: `queued` until the first task is made, `done` at the end, else `running`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The status of an operation: the rows of the table."""

    INITIALIZING = "initializing"
    PREPARING = "preparing"
    PENDING = "pending"
    MATERIALIZING = "materializing"
    RUNNING = "running"
    COMPLETING = "completing"
    COMPLETED = "completed"
    FAILING = "failing"
    FAILED = "failed"
    ABORTING = "aborting"
    ABORTED = "aborted"


REVIVING = "reviving"
FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.ABORTED})
ENDING = frozenset({Status.FAILING, Status.ABORTING})
QUEUED = frozenset({Status.INITIALIZING, Status.PREPARING, Status.PENDING})
BEFORE_END = QUEUED | {Status.MATERIALIZING, Status.RUNNING}


class Event(StrEnum):
    """An event of an operation: the columns of the table."""

    STARTED = "started"  # a supervisor works on it
    PINNED = "pinned"  # every input is found and pinned
    PLACED = "placed"  # it may run beside the others of its account
    PLANNED = "planned"  # its first tasks are made, or it has none
    STAGES_OVER = "stages over"  # no task will follow, and none is open
    PUBLISHED = "published"
    FAILED = "failed"
    ABORT_ASKED = "abort asked"
    COMPLETE_ASKED = "complete asked"  # it is to end with what there is
    DRAINED = "drained"  # nothing is left that only this operation needs


_FORWARD = {
    Status.INITIALIZING: (Event.STARTED, Status.PREPARING),
    Status.PREPARING: (Event.PINNED, Status.PENDING),
    Status.PENDING: (Event.PLACED, Status.MATERIALIZING),
    Status.MATERIALIZING: (Event.PLANNED, Status.RUNNING),
    Status.RUNNING: (Event.STAGES_OVER, Status.COMPLETING),
    Status.COMPLETING: (Event.PUBLISHED, Status.COMPLETED),
    Status.FAILING: (Event.DRAINED, Status.FAILED),
    Status.ABORTING: (Event.DRAINED, Status.ABORTED),
}


def _row(status: Status) -> Mapping[Event, Status]:
    row = dict.fromkeys(Event, status)
    if status in FINAL:
        return row
    event, following = _FORWARD[status]
    if status not in ENDING:
        row |= {Event.FAILED: Status.FAILING, Event.ABORT_ASKED: Status.ABORTING}
    if status in BEFORE_END:
        row |= {Event.COMPLETE_ASKED: Status.RUNNING}
    return row | {event: following}


TRANSITIONS: Mapping[Status, Mapping[Event, Status]] = {status: _row(status) for status in Status}


def step(status: Status, event: Event) -> Status:
    """The status after an event; the same one if the event changes nothing."""
    return TRANSITIONS[status][event]


def state_of(status: Status) -> str:
    """The state that clients of Manta's jobs see."""
    return "done" if status in FINAL else "queued" if status in QUEUED else "running"


@dataclass(frozen=True, slots=True)
class Stage:
    """Counters of one stage. `planned`: no further task of it will be made."""

    planned: bool
    issued: int
    finished: int

    @property
    def over(self) -> bool:
        return self.planned and self.issued == self.finished


def unplanned(stages: Sequence[Stage]) -> int | None:
    """The stage whose tasks are made now: the first that is not planned, once all before it are over."""
    for number, stage in enumerate(stages):
        if not stage.planned:
            return number
        if not stage.over:
            return None
    return None


def are_over(stages: Sequence[Stage]) -> bool:
    """Whether every stage is over, so that all outputs are there."""
    return all(stage.over for stage in stages)
