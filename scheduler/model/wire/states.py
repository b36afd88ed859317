"""The state of an agent, which each of its polls and reports contains."""

from __future__ import annotations

from pydantic import Field

from scheduler.model.wire.fields import MAX_STATES, Count, Number, Room, Wire, Word


class PoolState(Wire):
    """The state of a pool on a node.

    `instances` includes those that are being made and those that end after their task; `room` is how many more tasks
    may be leased now. `booked`, where Nomad places instances, is how many of the pool may be on this node. The agent
    also reports pools that it was never granted: so it gets their specification.
    """

    pool: Number
    instances: Count
    room: Room
    booked: Count | None = None
    idle: bool = False  # tasks wait there, and none runs


class FeedState(Wire):
    """The state of a running reducer: the highest `seq` that it was given, and its room for more sources."""

    task: Number
    attempt: Number
    after: Number
    room: Room


class AgentState(Wire):
    """The state of an agent, a part of each poll and report."""

    seen: Number  # number of the last poll reply acted on; 0 at first
    serial: Number = 0  # of the agent's states: requests overtake each other, and an older state says nothing
    pools: list[PoolState] = Field(default_factory=list, max_length=MAX_STATES, fail_fast=True)
    feeds: list[FeedState] = Field(default_factory=list, max_length=MAX_STATES, fail_fast=True)
    disabled: Count = 0  # slots whose instances could not be ended
    away: Count = 0  # slots that serve other supervisors
    away_mb: Count = 0  # and memory
    ending: Count = 0  # instances that are being ended
    ending_mb: Count = 0  # and their memory
    draining: bool = False  # its operator takes the node out of use: no task begins
    lack: Word | None = None  # the resource of which the node has too little: no task begins until it has more
