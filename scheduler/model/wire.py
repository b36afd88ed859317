"""The protocol between the supervisor and the agents of the nodes.

An agent owns instances; the supervisor owns tasks. Between them go requests,
all started by the agent, JSON over HTTP below `/_agent/v1/`, with the node's
credential in `Authorization: Bearer …` (`gateway.credentials`):

- `register` once per agent start. The answer names the agent; whatever an earlier
  start of the same node held is given back to the queue.
- `poll` asks for work and waits until there is some (a long poll; an empty reply
  after `POLL_SECONDS` means "ask again"). Any contact renews the agent's leases.
- `report` hands in finished attempts, in batches. When it is answered the attempts
  are durable. Reporting twice changes nothing.
- `beat` says that the agent lives, or ends; `sweep` asks which of its intermediates are still
  wanted; `supervisors`, which any gateway answers too, tells whom to register with.

The supervisor must know how much an agent can take *now*, also while a poll hangs.
So both requests carry the agent's whole `AgentState`, which is small: a line per pool
and per running reducer. `seen` is the number of the last poll reply that the agent
has acted on; a state that has not seen the newest reply yet says nothing about room,
because what that reply granted is still on its way.

Example: an agent with 4 slots polls with an empty state. The reply (number 1) grants
pool 7 its specification, two instances, and two tasks. The agent makes instances,
runs, and reports two attempts with `state.seen = 1` and more room in pool 7, upon
which the poll that it left hanging is answered with 16 more tasks.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from scheduler.model.tiers import DISK_GB

VERSION = 2
POLL_SECONDS = 20.0
# An agent that nobody heard of for LEASE_SECONDS is gone, so one with nothing to say says that every BEAT_SECONDS.
LEASE_SECONDS = 10.0
BEAT_SECONDS = 2.0
MAX_SWEEP = 5000
# The longest message: a report of one attempt with some hundred thousand outputs.
MAX_BYTES = 64 * 1024 * 1024


class Wire(BaseModel):
    """Base of all messages: immutable; unknown fields are ignored, so that versions can grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BlobRef(Wire):
    """Committed bytes by name: `id` is the etag of the object that they become; a size of 0 has no file.

    An object is in the store that all nodes share. An intermediate is on the `node` that made it; an agent
    of another node is told a `source` as well, an URL that gives these bytes to whoever has it.
    """

    id: str
    size: int
    md5: str | None = None  # base64; known for whatever becomes an object
    node: str | None = None  # None: in the shared store
    source: str | None = None  # None: open it yourself


class Asset(Wire):
    """An object to be copied to `/assets<name>` in each instance of a pool."""

    name: str
    blob: BlobRef


class PoolSpec(Wire):
    """All that an agent must know of one phase of one job to run its tasks."""

    pool: int
    job: str  # UUID
    login: str
    phase: int
    reduce: bool
    exec: str
    init: str | None = None
    assets: list[Asset] = Field(default_factory=list)
    init_error: str | None = None  # set when instances can never start (an asset is missing): fail tasks with it
    memory_mb: int
    disk_gb: int
    image: str = "*"  # a range of versions
    last: bool  # outputs of this phase are outputs of the job
    next_reducers: int  # reducers of the next phase; 0 if it is a map or there is none
    token: str  # credential of the job, for what its tasks ask of the gateway


class TaskLease(Wire):
    """One attempt at one task, leased to this agent."""

    task: int
    uuid: str
    attempt: int
    base: str  # what names are derived from: the job input, the own input without its prefix, or "/reduce"
    input: str | None = None  # map: the object's name
    blob: BlobRef | None = None  # map: its bytes
    reducer: int | None = None  # reduce: index from 0


class PoolGrant(Wire):
    """What a poll reply gives one pool: `instances` is the number the agent should have from now on."""

    pool: int
    instances: int
    spec: PoolSpec | None = None  # present unless the agent said that it knows the pool
    tasks: list[TaskLease] = Field(default_factory=list)


class FeedSource(Wire):
    """One input object of a reducer, in the order in which it must be fed."""

    seq: int
    blob: BlobRef


class FeedPage(Wire):
    """The next inputs of a running reducer attempt. `end` means that none will follow these."""

    task: int
    attempt: int
    sources: list[FeedSource] = Field(default_factory=list)
    end: bool = False


class AttemptId(Wire):
    task: int
    attempt: int


class PoolState(Wire):
    """How a pool stands on a node: its instances, those included that are on their way or leave after their task,
    and how many more tasks it would like to be leased now.

    `booked`, where instances are booked elsewhere: how many of the pool may be on this node now. The agent
    tells that also of pools that it was never granted: so it learns of them.
    """

    pool: int
    instances: int
    room: int
    booked: int | None = None
    idle: bool = False  # tasks wait there, and none runs


class FeedState(Wire):
    """A running reducer: the highest `seq` that it was given, and how many more sources it would like."""

    task: int
    attempt: int
    after: int
    room: int


class AgentState(Wire):
    seen: int  # number of the last poll reply acted on; 0 at first
    pools: list[PoolState] = Field(default_factory=list)
    feeds: list[FeedState] = Field(default_factory=list)
    disabled: int = Field(default=0, ge=0)  # slots whose instances could not be ended
    away: int = Field(default=0, ge=0)  # slots that serve other supervisors
    away_mb: int = Field(default=0, ge=0)  # and memory
    ending: int = Field(default=0, ge=0)  # instances that are being ended
    ending_mb: int = Field(default=0, ge=0)  # and their memory
    lack: str | None = None  # what the node has too little of: no task begins until it has more


class Versioned(Wire):
    """As much of a registration as every version understands."""

    version: int


class RegisterRequest(Wire):
    version: int = VERSION
    node: str
    slots: int  # instances for tasks that always make progress
    memory_mb: int  # what the tiers of all instances together may reserve, and so the largest that fits
    disk_gb: int = DISK_GB[-1]  # the largest disk tier that fits
    provider: str
    booked: bool = False  # instances are made when a booking for them arrives, not when we grant them
    serves: str | None = None  # URL below which other agents get this node's intermediates
    tickets: str | None = None  # the key of the tickets that it asks of them; it lies beside them


class RegisterReply(Wire):
    agent: int
    version: int = VERSION  # which the supervisor speaks


class Supervisor(Wire):
    """One of those among whom the jobs are shared out; an agent registers with each."""

    id: int
    url: str


class Supervisors(Wire):
    """Those that live now."""

    supervisors: list[Supervisor]


class Beat(Wire):
    """A sign of life, when there was no other for a while. Refused like a poll if the agent is not known."""

    agent: int
    leaves: bool = False  # the last one: what it was leased may go to others now


class SweepRequest(Wire):
    """Intermediates that lie on this node from before: are they wanted? At most `MAX_SWEEP` ids."""

    agent: int
    blobs: list[str]


class SweepReply(Wire):
    """Those that nothing refers to."""

    unknown: list[str]


class PollRequest(Wire):
    agent: int
    state: AgentState


class PollReply(Wire):
    """`pools` that are missing keep what they have. `release` lists pools that are over: forget them."""

    number: int
    pools: list[PoolGrant] = Field(default_factory=list)
    feeds: list[FeedPage] = Field(default_factory=list)
    cancel: list[AttemptId] = Field(default_factory=list)  # kill, report nothing
    release: list[int] = Field(default_factory=list)
    discard: list[str] = Field(default_factory=list)  # intermediates on this node that nobody needs any more


class OutputRecord(Wire):
    """One output of an attempt, in the order of emission.

    Captured stdout and unnamed `mpipe` outputs have the name that the agent gave them.
    A reference (`mcat`) has a name only and is resolved by the next phase.
    """

    name: str
    blob: BlobRef | None = None  # None: by reference
    reducer: int | None = None
    named: bool = False  # the script chose the name: the object is kept even when it is consumed
    headers: dict[str, str] = Field(default_factory=dict)


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"  # the user's doing: never retried
    LOST = "lost"  # the system's doing: retried


class Usage(Wire):
    """What an attempt took, measured by the lackey."""

    wall_us: int = 0
    user_us: int = 0
    sys_us: int = 0
    max_rss_kb: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class SavedFile(Wire):
    """stderr or a core of a failed attempt, saved under `name`."""

    name: str
    blob: BlobRef


class AttemptReport(Wire):
    """How one attempt ended. `outputs` of a failed attempt are saved as objects and not forwarded."""

    task: int
    attempt: int
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    outputs: list[OutputRecord] = Field(default_factory=list)
    stderr: SavedFile | None = None
    core: SavedFile | None = None
    usage: Usage = Usage()
    instance: str | None = None  # that it ran in, as its node calls it
    missing: list[str] = Field(default_factory=list)  # lost, because these intermediates could not be had
    evicted: bool = False  # lost, because the place of its instance was wanted back: nobody's fault


class ReportRequest(Wire):
    agent: int
    state: AgentState
    attempts: list[AttemptReport]


class OutputCheck(Wire):
    """A task is about to write `name`: may it, and is there a directory for it? (`parents`: make them.)

    `headers` are those of its request that can forbid it: conditions, and what no directory can be given.
    """

    job: str
    name: str
    parents: bool = False
    headers: dict[str, str] = Field(default_factory=dict)


class Adoption(Wire):
    """A task wrote a plain object (`mtee`): the blob is in the store already, give it its name."""

    job: str
    name: str
    blob: BlobRef
    headers: dict[str, str] = Field(default_factory=dict)
