"""Messages about membership: registrations, the supervisors there are, signs of life, sweeps."""

from __future__ import annotations

from pydantic import Field

from scheduler.model.tiers import DISK_GB
from scheduler.model.wire.fields import (
    MAX_HELD,
    MAX_STATES,
    MAX_SWEEP,
    VERSION,
    Count,
    Id,
    Node,
    Number,
    Url,
    Wire,
    Word,
)
from scheduler.model.wire.work import AttemptId


class Versioned(Wire):
    """The part of a registration that every version understands."""

    version: int


class RegisterRequest(Wire):
    """The registration of an agent: its node, and what the node has."""

    version: int = VERSION
    node: Node
    slots: Count  # instances for tasks that always make progress
    memory_mb: Count  # memory for the tiers of all instances together, and so the largest tier
    disk_gb: Count = DISK_GB[-1]  # the largest disk tier that fits
    provider: Word
    booked: bool = False  # instances are made when Nomad places them, not when the supervisor grants them
    serves: Url | None = None  # URL below which other agents get this node's intermediates
    tickets: Word | None = None  # the key of the tickets for that URL
    store: Word | None = None  # a name of the node's store: a second agent that has the node's name has another one
    held: list[AttemptId] = Field(default_factory=list, max_length=MAX_HELD)  # attempts of an earlier registration
    pools: list[Number] = Field(default_factory=list, max_length=MAX_STATES)  # and the pools that have any


class RegisterReply(Wire):
    agent: int
    version: int = VERSION  # of the protocol that the supervisor speaks
    adopts: bool = False  # what is held may go on: the supervisor cancels what does not


class Supervisor(Wire):
    """One live supervisor; an agent registers with each."""

    id: int
    url: str


class Supervisors(Wire):
    """The live supervisors, and the nodes whose credentials are revoked: agents refuse these."""

    supervisors: list[Supervisor]
    revoked: list[Node] = Field(default_factory=list)


class AgentBeat(Wire):
    """A sign of life in the absence of other requests. Refused like a poll if the agent is not known."""

    agent: Number
    leaves: bool = False  # the last beat: the agent's leases end


class SweepRequest(Wire):
    """A question which of this node's old intermediates are still needed. At most `MAX_SWEEP` ids."""

    agent: Number
    blobs: list[Id] = Field(max_length=MAX_SWEEP)


class SweepReply(Wire):
    """The ids to which no record refers."""

    unknown: list[Id]
