"""Availability of an intermediate: a table of state × event for one input of one task.

One idea: *the consumer's row says whether its input is available, and what is being done if not.*
An intermediate is the output of one task, its producer, and the input of another, its consumer.
Its bytes may lie on one node alone, so they can be lost, and then the producer has to run again.

    here ──the node is lost──▶ lost ──the producer is reopened──▶ recomputing ──▶ here
     │   ◀─────────────────────── the producer has committed again ─────────────────┘
     ├──the same, and the running attempt may have read it──▶ maybe read ──the attempt is lost──▶ lost
     └──the consumer has ended──▶ unneeded ──the consumer is reopened──▶ lost

Every pair of state and event has an entry. Four rules explain the table:

- LOST is the only state that causes work: the producer of a LOST input is reopened, once, and the input is
  then RECOMPUTING.
- An input that the running attempt may have read already is recomputed only if that attempt is lost.
- A consumer that has ended needs no input, even if nodes are lost. If it is reopened, to make its own
  outputs again, it needs all its inputs again, including those that were discarded without any node
  being lost.
- When a producer commits again, each new output replaces the lost one at the same position. An input
  without a new output stays LOST for good, and the supervisor fails the consumer.

An input that is a user's object is UNNEEDED from the start: the service neither deletes nor recomputes it.
An intermediate in the shared store has no producer on record (`kept`), so it cannot be recomputed.

Example: a reduce task on node b was fed 2 of its 3 inputs from node a, and a is lost. Inputs 1 and 2 are
MAYBE_READ, input 3 is LOST. The producer of 3 is reopened and commits on b: 3 is HERE. Now b is lost with
the attempt: 1 and 2 are LOST by the first event, 3 by the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from scheduler.engine.task import FINAL, TaskState


class Availability(IntEnum):
    """The availability of one input of a task. The numbers are stored in the database."""

    UNNEEDED = 0  # not an intermediate, or no longer needed
    HERE = 1  # at the place that its row names
    LOST = 2  # gone, and its producer is not reopened yet
    RECOMPUTING = 3  # gone; its producer is open again and will replace it
    MAYBE_READ = 4  # gone, but the running attempt may have read it

    @property
    def is_awaited(self) -> bool:
        """Whether no attempt can get the input before it is recomputed."""
        return self in (Availability.LOST, Availability.RECOMPUTING)


AVAILABILITIES = tuple(Availability)  # by their numbers; a look-up takes less than a call


class Event(StrEnum):
    """An event that happens to an input, to its producer or to its consumer."""

    NODE_LOST = "node lost"  # the node that has the input is lost
    NODE_LOST_AFTER_READ = "node lost after read"  # the same, but the running attempt may have read the input
    MISSED = "missed"  # an attempt has ended because it could not get the input
    ATTEMPT_LOST = "attempt lost"  # no attempt of the consumer runs any more
    PRODUCER_REOPENED = "producer reopened"
    RECOMPUTED = "recomputed"  # the producer has committed again, with an output at the input's position
    NOT_RECOMPUTED = "not recomputed"  # the producer has committed again without such an output, or cannot commit
    CONSUMER_REOPENED = "consumer reopened"  # a consumer whose input has a producer
    CONSUMER_ENDED = "consumer ended"  # the consumer has committed, failed, or was cancelled


def step(availability: Availability, event: Event) -> Availability:
    """The availability of an input after an event."""
    return TRANSITIONS[availability][event]


def node_lost(consumer: TaskState, read: bool) -> Event:
    """The event that the loss of a node is for an input that was there.

    `read`: the running attempt may have read it.
    """
    if consumer in FINAL:
        return Event.CONSUMER_ENDED
    return Event.NODE_LOST_AFTER_READ if read and consumer is TaskState.LEASED else Event.NODE_LOST


def kept(availability: Availability, has_producer: bool, may_reopen: bool) -> Availability:
    """The availability of an input whose consumer has ended.

    It stays available if it cannot be recomputed and its consumer may have to run again.
    """
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
