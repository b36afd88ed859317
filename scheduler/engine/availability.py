"""Availability of an intermediate: a table of state × event for one input of one task.

One idea: *the row of the consumer says whether its input can be had, and what is being done about it.*
An intermediate is the output of one task, its producer, and the input of another, its consumer. Its
bytes may lie on one node alone, so they can be lost, and then the producer has to run again.

    here ──the node is lost──▶ lost ──the producer is reopened──▶ recomputing ──▶ here
     │   ◀─────────────────────── the producer has committed again ─────────────────┘
     ├──the same, and the attempt that runs may have read it──▶ maybe read ──the attempt is lost──▶ lost
     └──the consumer has ended──▶ unneeded ──the consumer is reopened──▶ lost

Every pair has an entry, so every pair was thought about. Four rules are hidden in it:

- Only LOST asks for something: the producer of what is LOST is reopened, once, and then it is RECOMPUTING.
- What a running attempt may have read already is recomputed only if that attempt is lost.
- A consumer that has ended needs nothing, whatever happens to nodes. If it is reopened, to make its own
  outputs again, it needs all its inputs that are gone by then, although no node was lost.
- A producer that has committed again settles what it can: an output at the position of a lost one takes
  its place; where there is none, the input is LOST for good, and the supervisor fails the consumer.

An input that is an object of the user is UNNEEDED from the start: it is not ours to delete or to recompute.
One in the shared store has no producer on record (`kept`), so it cannot be recomputed.

Example: a reduce task on node b was fed 2 of its 3 inputs from node a, and a is lost. Inputs 1 and 2 are
MAYBE_READ, input 3 is LOST. The producer of 3 is reopened and commits on b: 3 is HERE. Now b is lost with
the attempt: 1 and 2 are LOST by the first event, 3 by the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from scheduler.engine.task import FINAL, TaskState


class Availability(IntEnum):
    """Where an input of a task stands. The numbers are in the database."""

    UNNEEDED = 0  # not an intermediate, or not needed any more
    HERE = 1  # where its row says
    LOST = 2  # gone, and its producer does not know
    RECOMPUTING = 3  # gone; its producer is open again and will put something in its place
    MAYBE_READ = 4  # gone, but the attempt that runs may have read it

    @property
    def is_awaited(self) -> bool:
        """Whether no attempt can have the input before it was recomputed."""
        return self in (Availability.LOST, Availability.RECOMPUTING)


class Event(StrEnum):
    """What happens to an input, to its producer or to its consumer."""

    NODE_LOST = "node lost"  # the node that has the input is gone
    NODE_LOST_AFTER_READ = "node lost after read"  # the same, and the attempt that runs may have read it
    MISSED = "missed"  # an attempt has ended because it could not get the input
    ATTEMPT_LOST = "attempt lost"  # no attempt of the consumer runs any more
    PRODUCER_REOPENED = "producer reopened"
    RECOMPUTED = "recomputed"  # the producer has committed again, and has put an output in its place
    NOT_RECOMPUTED = "not recomputed"  # the producer has committed again, or cannot, and there is no such output
    CONSUMER_REOPENED = "consumer reopened"  # of an input that has a producer
    CONSUMER_ENDED = "consumer ended"  # it has committed, failed, or was cancelled


def step(availability: Availability, event: Event) -> Availability:
    """Where an input stands after an event."""
    return TRANSITIONS[availability][event]


def node_lost(consumer: TaskState, read: bool) -> Event:
    """What the loss of its node means for an input. `read`: an attempt that runs may have read it."""
    if consumer in FINAL:
        return Event.CONSUMER_ENDED
    return Event.NODE_LOST_AFTER_READ if read and consumer is TaskState.LEASED else Event.NODE_LOST


def kept(availability: Availability, has_producer: bool, may_reopen: bool) -> Availability:
    """Where an input stands when its consumer has ended: one that cannot be recomputed is kept for a consumer that may
    have to run again."""
    return availability if may_reopen and not has_producer else step(availability, Event.CONSUMER_ENDED)


TRANSITIONS: Mapping[Availability, Mapping[Event, Availability]] = {
    Availability.UNNEEDED: {
        Event.NODE_LOST: Availability.UNNEEDED,
        Event.NODE_LOST_AFTER_READ: Availability.UNNEEDED,
        Event.MISSED: Availability.UNNEEDED,
        Event.ATTEMPT_LOST: Availability.UNNEEDED,
        Event.PRODUCER_REOPENED: Availability.UNNEEDED,
        Event.RECOMPUTED: Availability.UNNEEDED,
        Event.NOT_RECOMPUTED: Availability.UNNEEDED,
        Event.CONSUMER_REOPENED: Availability.LOST,
        Event.CONSUMER_ENDED: Availability.UNNEEDED,
    },
    Availability.HERE: {
        Event.NODE_LOST: Availability.LOST,
        Event.NODE_LOST_AFTER_READ: Availability.MAYBE_READ,
        Event.MISSED: Availability.LOST,
        Event.ATTEMPT_LOST: Availability.HERE,
        Event.PRODUCER_REOPENED: Availability.HERE,
        Event.RECOMPUTED: Availability.HERE,
        Event.NOT_RECOMPUTED: Availability.HERE,
        Event.CONSUMER_REOPENED: Availability.HERE,
        Event.CONSUMER_ENDED: Availability.UNNEEDED,
    },
    Availability.LOST: {
        Event.NODE_LOST: Availability.LOST,
        Event.NODE_LOST_AFTER_READ: Availability.LOST,
        Event.MISSED: Availability.LOST,
        Event.ATTEMPT_LOST: Availability.LOST,
        Event.PRODUCER_REOPENED: Availability.RECOMPUTING,
        Event.RECOMPUTED: Availability.HERE,
        Event.NOT_RECOMPUTED: Availability.LOST,
        Event.CONSUMER_REOPENED: Availability.LOST,
        Event.CONSUMER_ENDED: Availability.UNNEEDED,
    },
    Availability.RECOMPUTING: {
        Event.NODE_LOST: Availability.RECOMPUTING,
        Event.NODE_LOST_AFTER_READ: Availability.RECOMPUTING,
        Event.MISSED: Availability.RECOMPUTING,
        Event.ATTEMPT_LOST: Availability.RECOMPUTING,
        Event.PRODUCER_REOPENED: Availability.RECOMPUTING,
        Event.RECOMPUTED: Availability.HERE,
        Event.NOT_RECOMPUTED: Availability.LOST,
        Event.CONSUMER_REOPENED: Availability.RECOMPUTING,
        Event.CONSUMER_ENDED: Availability.UNNEEDED,
    },
    Availability.MAYBE_READ: {
        Event.NODE_LOST: Availability.MAYBE_READ,
        Event.NODE_LOST_AFTER_READ: Availability.MAYBE_READ,
        Event.MISSED: Availability.LOST,
        Event.ATTEMPT_LOST: Availability.LOST,
        Event.PRODUCER_REOPENED: Availability.MAYBE_READ,
        Event.RECOMPUTED: Availability.HERE,
        Event.NOT_RECOMPUTED: Availability.MAYBE_READ,
        Event.CONSUMER_REOPENED: Availability.MAYBE_READ,
        Event.CONSUMER_ENDED: Availability.UNNEEDED,
    },
}
