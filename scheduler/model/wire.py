"""The protocol between the supervisor and the agents of the nodes.

An agent owns instances; the supervisor owns tasks. Between them go requests,
all started by the agent, JSON over HTTP below `/_agent/v1/`, with the node's
credential in `Authorization: Bearer …` (`gateway.node_credentials`):

- `register` once per agent start. The answer names the agent; whatever an earlier
  start of the same node held is given back to the queue.
- `poll` asks for work and waits until there is some (a long poll; an empty reply
  after `POLL_SECONDS` means "ask again"). Any contact renews the agent's leases.
- `report` hands in finished attempts, in batches. When it is answered the attempts
  are durable. Reporting twice changes nothing.
- `log` answers what a poll reply asked for: a page of what a running attempt has printed.
- `beat` says that the agent lives, or ends; `sweep` asks which of its intermediates are still
  wanted; `supervisors`, which any gateway answers too, tells whom to register with.

The holder of a node's credential can send anything, so every field has a type that says what it may be: an id is a
UUID, a count has a bound, a name is a path. What such a message then may bring about is for the supervisor to say:
an agent is believed only about its own leases (`supervisor.tasks.commit`).

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
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scheduler.model import ids, names
from scheduler.model.errors import JobErrorCode
from scheduler.model.tiers import DISK_GB

VERSION = 3
POLL_SECONDS = 20.0
# An agent that nobody heard of for LEASE_SECONDS is gone, so one with nothing to say says that every BEAT_SECONDS.
LEASE_SECONDS = 10.0
BEAT_SECONDS = 2.0
MAX_SWEEP = 5000
# What one attempt may emit: the transaction that commits it is the only one of the whole cluster while it lasts (about
# 25 µs for each output), so this bounds how long all others wait.
MAX_OUTPUTS = 10_000
# The longest message, in bytes and in parts (values and what holds them): nothing else is served while it is parsed,
# which takes about 1 µs a part. A report of MAX_OUTPUTS outputs has some 80,000.
MAX_BYTES = 4 * 1024 * 1024
MAX_PARTS = 150_000
MAX_REPORTS = 4096
MAX_ROOM = 4096
MAX_STATES = 65_536
MAX_LOG_PAGE = 64 * 1024


MAX_WORD = 256
Id = Annotated[str, StringConstraints(pattern=f"^{ids.PATTERN}$", max_length=36)]
Number = Annotated[int, Field(ge=0, le=1 << 53)]  # of a record, of bytes
Count = Annotated[int, Field(ge=0, le=1 << 24)]  # of slots, instances, MiB
Room = Annotated[int, Field(le=MAX_ROOM)]  # below 0: more are there than should be
Md5 = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]{22}==$")]
Node = Annotated[str, StringConstraints(pattern="^[!-~]{1,128}$")]
Url = Annotated[str, StringConstraints(pattern="^https?://[!-~]+$", max_length=1024)]
Word = Annotated[str, StringConstraints(max_length=MAX_WORD)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
# A normal path (`model.names`); "/", which is one too, is no object's, and only an output by reference may say it.
ObjectName = Annotated[str, StringConstraints(pattern=f"^{names.NORMAL}$", max_length=65_536)]
OutputName = Annotated[str, StringConstraints(pattern=f"^(?:/|{names.NORMAL})$", max_length=65_536)]
LogData = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=4 * (MAX_LOG_PAGE // 3 + 1))]
Headers = Annotated[dict[Word, Text], Field(max_length=1024)]
ErrorCode = Annotated[str, StringConstraints(pattern=f"^(?:{'|'.join(JobErrorCode)})$")]
# A column of the records adds up what all tasks of a phase took, so one of them cannot take more than so much.
Measure = Annotated[int, Field(ge=0, le=1 << 45)]


def excess(message: bytes) -> str | None:
    """Why a message is more than is read, in the form "so much of something, above so much"."""
    if len(message) > MAX_BYTES:
        return f"{len(message)} bytes, above {MAX_BYTES}"
    parts = sum(map(message.count, (b",", b"{", b"[")))
    return f"{parts} parts, above {MAX_PARTS}" if parts > MAX_PARTS else None


class Wire(BaseModel):
    """Base of all messages: immutable; unknown fields are ignored, so that versions can grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BlobRef(Wire):
    """Committed bytes by name: `id` is the etag of the object that they become; a size of 0 has no file.

    An object is in the store that all nodes share. An intermediate is on the `node` that made it; an agent
    of another node is told a `source` as well, an URL that gives these bytes to whoever has it.
    """

    id: Id
    size: Number
    md5: Md5 | None = None  # base64; known for whatever becomes an object
    node: Node | None = None  # None: in the shared store
    source: Url | None = None  # None: open it yourself


class Asset(Wire):
    """An object to be copied to `/assets<name>` in each instance of a pool."""

    name: ObjectName
    blob: BlobRef


class PoolSpec(Wire):
    """All that an agent must know of one phase of one job to run its tasks."""

    pool: int
    job: Id
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
    timeout_s: int | None = None  # that a task may run
    last: bool  # outputs of this phase are outputs of the job
    next_reducers: int  # reducers of the next phase; 0 if it is a map or there is none
    token: str  # credential of the job, for what its tasks ask of the gateway


class TaskLease(Wire):
    """One attempt at one task, leased to this agent."""

    task: Number
    uuid: Id
    attempt: Number
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
    task: Number
    attempt: Number


class PoolState(Wire):
    """How a pool stands on a node: its instances, those included that are on their way or leave after their task,
    and how many more tasks it would like to be leased now.

    `booked`, where instances are booked elsewhere: how many of the pool may be on this node now. The agent
    tells that also of pools that it was never granted: so it learns of them.
    """

    pool: Number
    instances: Count
    room: Room
    booked: Count | None = None
    idle: bool = False  # tasks wait there, and none runs


class FeedState(Wire):
    """A running reducer: the highest `seq` that it was given, and how many more sources it would like."""

    task: Number
    attempt: Number
    after: Number
    room: Room


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class TaskLogRequest(Wire):
    """What a running attempt has printed is wanted, from a byte on, at most `MAX_LOG_PAGE` bytes."""

    number: Number = 0  # of the request, for the answer to name
    task: Number
    attempt: Number
    stream: LogStream
    offset: Number = 0


class TaskLogPage(Wire):
    """The answer to a `TaskLogRequest`."""

    number: Number
    data: LogData | None = None  # None: the attempt does not run here, not yet or no more
    lost: bool = False  # the agent has not answered


class TaskLogReply(Wire):
    agent: Number
    page: TaskLogPage


class AgentState(Wire):
    seen: Number  # number of the last poll reply acted on; 0 at first
    pools: list[PoolState] = Field(default_factory=list, max_length=MAX_STATES, fail_fast=True)
    feeds: list[FeedState] = Field(default_factory=list, max_length=MAX_STATES, fail_fast=True)
    disabled: Count = 0  # slots whose instances could not be ended
    away: Count = 0  # slots that serve other supervisors
    away_mb: Count = 0  # and memory
    ending: Count = 0  # instances that are being ended
    ending_mb: Count = 0  # and their memory
    lack: Word | None = None  # what the node has too little of: no task begins until it has more


class Versioned(Wire):
    """As much of a registration as every version understands."""

    version: int


class RegisterRequest(Wire):
    version: int = VERSION
    node: Node
    slots: Count  # instances for tasks that always make progress
    memory_mb: Count  # what the tiers of all instances together may reserve, and so the largest that fits
    disk_gb: Count = DISK_GB[-1]  # the largest disk tier that fits
    provider: Word
    booked: bool = False  # instances are made when a booking for them arrives, not when we grant them
    serves: Url | None = None  # URL below which other agents get this node's intermediates
    tickets: Word | None = None  # the key of the tickets that it asks of them; it lies beside them


class RegisterReply(Wire):
    agent: int
    version: int = VERSION  # which the supervisor speaks


class Supervisor(Wire):
    """One of those among whom the jobs are shared out; an agent registers with each."""

    id: int
    url: str


class Supervisors(Wire):
    """Those that live now, and the nodes whose credentials are revoked: no agent gives these anything."""

    supervisors: list[Supervisor]
    revoked: list[Node] = Field(default_factory=list)


class AgentBeat(Wire):
    """A sign of life, when there was no other for a while. Refused like a poll if the agent is not known."""

    agent: Number
    leaves: bool = False  # the last one: what it was leased may go to others now


class SweepRequest(Wire):
    """Intermediates that lie on this node from before: are they wanted? At most `MAX_SWEEP` ids."""

    agent: Number
    blobs: list[Id] = Field(max_length=MAX_SWEEP)


class SweepReply(Wire):
    """Those that nothing refers to."""

    unknown: list[Id]


class PollRequest(Wire):
    agent: Number
    state: AgentState


class PollReply(Wire):
    """`pools` that are missing keep what they have. `release` lists pools that are over: forget them."""

    number: int
    pools: list[PoolGrant] = Field(default_factory=list)
    feeds: list[FeedPage] = Field(default_factory=list)
    cancel: list[AttemptId] = Field(default_factory=list)  # kill, report nothing
    release: list[int] = Field(default_factory=list)
    discard: list[Id] = Field(default_factory=list)  # intermediates on this node that nobody needs any more
    logs: list[TaskLogRequest] = Field(default_factory=list)  # what running tasks have printed is asked for


class OutputRecord(Wire):
    """One output of an attempt, in the order of emission.

    Captured stdout and unnamed `mpipe` outputs have the name that the agent gave them.
    A reference (`mcat`) has a name only and is resolved by the next phase.
    """

    name: OutputName
    blob: BlobRef | None = None  # None: by reference
    reducer: Count | None = None
    named: bool = False  # the script chose the name: the object is kept even when it is consumed
    headers: Headers = Field(default_factory=dict)


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"  # the user's doing: never retried
    LOST = "lost"  # the system's doing: retried


class Usage(Wire):
    """What an attempt took, measured by the lackey."""

    wall_us: Measure = 0
    user_us: Measure = 0
    sys_us: Measure = 0
    max_rss_kb: Measure = 0
    bytes_in: Measure = 0
    bytes_out: Measure = 0


class SavedFile(Wire):
    """stderr or a core of a failed attempt, saved under `name`."""

    name: ObjectName
    blob: BlobRef


class AttemptReport(Wire):
    """How one attempt ended. `outputs` of a failed attempt are saved as objects and not forwarded."""

    task: Number
    attempt: Number
    outcome: Outcome
    code: ErrorCode | None = None
    message: Text | None = None
    outputs: list[OutputRecord] = Field(default_factory=list, max_length=MAX_OUTPUTS, fail_fast=True)
    stderr: SavedFile | None = None
    core: SavedFile | None = None
    usage: Usage = Usage()
    instance: Word | None = None  # that it ran in, as its node calls it
    missing: list[Id] = Field(
        default_factory=list, max_length=MAX_SWEEP
    )  # lost, because these intermediates could not be had
    evicted: bool = False  # lost, because the place of its instance was wanted back: nobody's fault


class ReportRequest(Wire):
    agent: Number
    state: AgentState
    attempts: list[AttemptReport] = Field(max_length=MAX_REPORTS, fail_fast=True)


class ReportReply(Wire):
    """Which of the attempts came to nothing: the supervisor refers to none of their blobs, which the agent removes."""

    discard: list[AttemptId] = Field(default_factory=list)


class OutputCheck(Wire):
    """A task is about to write `name`: may it, and is there a directory for it? (`parents`: make them.)

    `headers` are those of its request that can forbid it: conditions, and what no directory can be given.
    """

    job: Id
    name: Text
    parents: bool = False
    headers: Headers = Field(default_factory=dict)


class Adoption(Wire):
    """A task wrote a plain object (`mtee`): the blob is in the store already, give it its name."""

    job: Id
    name: Text
    blob: BlobRef
    headers: Headers = Field(default_factory=dict)
