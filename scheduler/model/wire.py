"""The protocol between the supervisor and the agents of the nodes.

An agent owns instances; the supervisor owns tasks. The agent starts all requests: JSON over HTTP below `/_agent/v1/`,
with the node's credential in `Authorization: Bearer …` (`gateway.node_credentials`):

- `register` is sent once per agent start. The reply has the agent's id. The leases of an earlier start of the same
  node go back to the queue.
- `poll` asks for work and waits until there is some (a long poll; after `POLL_SECONDS` the reply is empty, and the
  agent polls again). Any request renews the agent's leases.
- `report` hands in attempts that have ended, in batches. After the reply they are durable. A repeated one is ignored.
- `log` answers a request of a poll reply: a page of the output of a running attempt.
- `beat` says that the agent lives, or ends; `sweep` asks which of its intermediates are still needed; `supervisors`,
  which any gateway answers too, returns the supervisors to register with.

A compromised node can send anything, so every field has a type that bounds its values: an id is a UUID, a count has a
bound, a name is a path. The supervisor decides what such a message may change: an agent is believed only about its own
leases (`supervisor.tasks.commit`).

The supervisor must know how much an agent can take *now*, also while a poll waits. So both requests contain the
agent's whole `AgentState`, which is small: a line per pool and per running reducer. `seen` is the number of the last
poll reply that the agent has acted on. A state that has not seen the newest reply says nothing about room, because
the tasks which that reply granted are still on their way. States have serial numbers, because a poll may overtake a
report, or wait for less.

Example: an agent with 4 slots polls with an empty state. The reply (number 1) grants pool 7 its specification, two
instances, and two tasks. The agent makes instances, runs the tasks, and reports two attempts with `state.seen = 1` and
more room in pool 7. The supervisor then answers the poll that is still waiting, with 16 more tasks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scheduler.model import ids, names
from scheduler.model.errors import JobErrorCode
from scheduler.model.tiers import DISK_GB

VERSION = 5
POLL_SECONDS = 20.0
# An agent without a request for LEASE_SECONDS is lost, so an idle one sends a beat every BEAT_SECONDS.
LEASE_SECONDS = 10.0
BEAT_SECONDS = 2.0
MAX_SWEEP = 5000
# The number of outputs of one attempt. The transaction that commits it excludes all others of the cluster while it
# lasts (about 25 µs for each output), so this bounds how long they wait.
MAX_OUTPUTS = 10_000
# The longest message, in bytes and in parts (values and their containers). Nothing else is served while it is parsed,
# which takes about 1 µs a part. A report of MAX_OUTPUTS outputs has some 80,000.
MAX_BYTES = 4 * 1024 * 1024
MAX_PARTS = 150_000
MAX_REPORTS = 4096
MAX_ROOM = 4096
MAX_STATES = 65_536
MAX_LOG_PAGE = 64 * 1024
MAX_COUNTED = 64  # sources of one task whose lines are counted


MAX_WORD = 256
Id = Annotated[str, StringConstraints(pattern=f"^{ids.PATTERN}$", max_length=36)]
Number = Annotated[int, Field(ge=0, le=1 << 53)]  # an id of a record, or bytes
Count = Annotated[int, Field(ge=0, le=1 << 24)]  # slots, instances, MiB
Room = Annotated[int, Field(le=MAX_ROOM)]  # below 0: there are more than there should be
Md5 = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]{22}==$")]
Node = Annotated[str, StringConstraints(pattern="^[!-~]{1,128}$")]
Url = Annotated[str, StringConstraints(pattern="^https?://[!-~]+$", max_length=1024)]
Word = Annotated[str, StringConstraints(max_length=MAX_WORD)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
# A normal path (`model.names`). "/" is one too but names no object, and only an output by reference may have it.
ObjectName = Annotated[str, StringConstraints(pattern=f"^{names.NORMAL}$", max_length=65_536)]
OutputName = Annotated[str, StringConstraints(pattern=f"^(?:/|{names.NORMAL})$", max_length=65_536)]
LogData = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=4 * (MAX_LOG_PAGE // 3 + 1))]
Headers = Annotated[dict[Word, Text], Field(max_length=1024)]
ErrorCode = Annotated[str, StringConstraints(pattern=f"^(?:{'|'.join(JobErrorCode)})$")]
# A column of the records sums up the usage of all tasks of a phase, so the usage of one task is bounded.
Measure = Annotated[int, Field(ge=0, le=1 << 45)]


def excess(message: bytes) -> str | None:
    """The reason why a message is too large, in the form "so much of something, above so much"; None if it is not."""
    if len(message) > MAX_BYTES:
        return f"{len(message)} bytes, above {MAX_BYTES}"
    parts = sum(map(message.count, (b",", b"{", b"[")))
    return f"{parts} parts, above {MAX_PARTS}" if parts > MAX_PARTS else None


class Wire(BaseModel):
    """The base of all messages: immutable; unknown fields are ignored, so that versions can grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BlobRef(Wire):
    """A reference to committed bytes: `id` is the etag of the object that they become; a size of 0 has no file.

    An object is in the store that all nodes share. An intermediate is on the `node` that made it; an agent of another
    node also gets a `source`, a URL with a ticket from which it can read the bytes.
    """

    id: Id
    size: Number
    md5: Md5 | None = None  # base64; known for all blobs that become objects
    node: Node | None = None  # None: in the shared store
    source: Url | None = None  # None: on this node, or in the shared store


class Asset(Wire):
    """An object to be copied to `/assets<name>` in each instance of a pool."""

    name: ObjectName
    blob: BlobRef


class PoolSpec(Wire):
    """The specification of one phase of one job, with all that an agent needs to run its tasks."""

    pool: int
    job: Id
    login: str
    phase: int
    blocking: bool  # its tasks may wait for other tasks of the job: places of their own, and none queues behind another
    exec: str
    init: str | None = None
    assets: list[Asset] = Field(default_factory=list)
    init_error: str | None = None  # set when instances cannot start (an asset is missing): tasks fail with it
    memory_mb: int
    disk_gb: int
    image: str = "*"  # a range of versions
    timeout_s: int | None = None  # the longest time that a task may run
    last: bool  # outputs of this phase are outputs of the job
    next_reducers: int  # reducers of the next phase; 0 if it is a map or there is none
    token: str  # the job's credential, for its tasks' requests to the gateway
    ends_lines: bool = False  # an object whose last line has no newline does not run into the next one
    zero: bool = False  # lines end in NUL, and not in a newline
    counting: bool = False  # nothing is run: the lines of each source of its tasks are counted
    operation: Word | None = None  # the type of the operation that the job is, if it is one: its outputs are staged
    divides: bool = False  # its tasks print shuffle files
    partitions: Number = 1  # how many partitions these have
    stderr_bytes: Number = 0  # of an operation's attempt: as much of its stderr is kept, whatever its outcome


class FeedSource(Wire):
    """One input of a task that is fed, in the order of feeding: an object, or the lines that begin in a range of it."""

    seq: int
    blob: BlobRef
    name: str = ""  # of the object, if it is a range
    start: Number = 0
    length: Number | None = None  # None: up to the end
    skip: Number = 0  # lines that are skipped at the start
    upto: Number = 0  # lines beyond the end
    part: Number | None = None  # the partition of a shuffle file that is read, and nothing else of it


class FeedPage(Wire):
    """The next inputs of an attempt that is fed. `end` means that there are no more."""

    task: int
    attempt: int
    sources: list[FeedSource] = Field(default_factory=list)
    end: bool = False


class TaskLease(Wire):
    """One attempt at one task, leased to this agent.

    A task that is `fed` reads a pipe, into which the agent pours sources; another has its input as a file.
    """

    task: Number
    uuid: Id
    attempt: Number
    base: str  # the base of names: the job input, the task's input without its prefix, or "/reduce"
    input: str | None = None  # the object's name, if the input is a file
    blob: BlobRef | None = None  # its bytes
    part: int | None = None  # of the input that is divided among the phase's tasks, from 0: a reducer's number
    fed: bool = False
    feed: FeedPage | None = None  # of a fed task, if its input is known already: the first page
    number: int | None = None  # of a task of an operation in its stage, from 0


class PoolGrant(Wire):
    """A poll reply's grant to one pool: `instances` is the number that the agent should have from now on."""

    pool: int
    instances: int
    spec: PoolSpec | None = None  # present unless the agent has reported the pool
    tasks: list[TaskLease] = Field(default_factory=list)


class AttemptId(Wire):
    task: Number
    attempt: Number


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


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class TaskLogRequest(Wire):
    """A request for output of a running attempt, from a byte on, at most `MAX_LOG_PAGE` bytes."""

    number: Number = 0  # of the request; the answer repeats it
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
    lack: Word | None = None  # the resource of which the node has too little: no task begins until it has more


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


class RegisterReply(Wire):
    agent: int
    version: int = VERSION  # of the protocol that the supervisor speaks


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


class PollRequest(Wire):
    agent: Number
    state: AgentState


class PollReply(Wire):
    """The reply to a poll. `pools` that are missing are unchanged. `release` lists pools that are over."""

    number: int
    pools: list[PoolGrant] = Field(default_factory=list)
    feeds: list[FeedPage] = Field(default_factory=list)
    cancel: list[AttemptId] = Field(default_factory=list)  # kill; report only that those of operations are gone
    release: list[int] = Field(default_factory=list)
    discard: list[Id] = Field(default_factory=list)  # intermediates on this node that are not needed any more
    logs: list[TaskLogRequest] = Field(default_factory=list)  # requests for the output of running tasks


class OutputRecord(Wire):
    """One output of an attempt, in the order of emission.

    Captured stdout and unnamed `mpipe` outputs have names that the agent made. A reference (`mcat`) has a name only,
    and the next phase resolves it.
    """

    name: OutputName
    blob: BlobRef | None = None  # None: by reference
    reducer: Count | None = None
    named: bool = False  # the script chose the name: the object is kept even when it is consumed
    headers: Headers = Field(default_factory=dict)


class Outcome(StrEnum):
    """The outcome of an attempt."""

    OK = "ok"
    FAILED = "failed"  # the user's doing: retried only if the phase says so
    LOST = "lost"  # the system's doing: retried


class Usage(Wire):
    """The usage of an attempt, measured by the lackey."""

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
    """The report on an attempt that has ended. `outputs` of a failed attempt are saved as objects and not forwarded."""

    task: Number
    attempt: Number
    outcome: Outcome
    code: ErrorCode | None = None
    message: Text | None = None
    outputs: list[OutputRecord] = Field(default_factory=list, max_length=MAX_OUTPUTS, fail_fast=True)
    stderr: SavedFile | None = None
    core: SavedFile | None = None
    usage: Usage = Usage()
    instance: Word | None = None  # the one that the attempt ran in, by its node's name for it
    started_us: Measure | None = None  # by the clock of `ReportRequest.clock_us`; None: nothing was run
    ended_us: Measure | None = None
    missing: list[Id] = Field(
        default_factory=list, max_length=MAX_SWEEP
    )  # lost, because these intermediates could not be read
    lines: list[Number] = Field(default_factory=list, max_length=MAX_COUNTED)  # of each source, if they were counted
    reason: Word | None = None  # why an attempt was lost, in a word of `operations.reasons`
    evicted: bool = False  # lost, because Nomad took the instance's place back: counts as no retry


class ReportRequest(Wire):
    """Attempts that have ended, and those of operations whose commands have run for a moment by now (`began`)."""

    agent: Number
    state: AgentState
    attempts: list[AttemptReport] = Field(max_length=MAX_REPORTS, fail_fast=True)
    began: list[AttemptId] = Field(default_factory=list, max_length=MAX_REPORTS, fail_fast=True)
    clock_us: Measure = 0  # µs since the agent's start, when this was sent


class ReportReply(Wire):
    """The attempts that did not commit: no record refers to their blobs, which the agent removes."""

    discard: list[AttemptId] = Field(default_factory=list)


class OutputCheck(Wire):
    """A question whether a task may write `name`, and whether its directory exists (`parents`: create it).

    `headers` are those of the task's request that can forbid it: conditions, and headers that no directory can have.
    """

    job: Id
    name: Text
    parents: bool = False
    headers: Headers = Field(default_factory=dict)


class Adoption(Wire):
    """A plain object that a task wrote (`mtee`): its blob is in the store already, and this request names it."""

    job: Id
    name: Text
    blob: BlobRef
    headers: Headers = Field(default_factory=dict)
