"""Messages about work: what a pool runs, the tasks that are leased to it, and what they are fed."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from scheduler.model.wire.fields import BlobRef, Id, Number, ObjectName, Wire, Word


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
    last: bool  # outputs of this phase are outputs of the job, or staged: they lie where objects do
    hashed: bool = True  # such outputs have an MD5; without, they are only read by the next phase
    next_reducers: int  # reducers of the next phase; 0 if it is a map or there is none
    piped: bool = False  # its tasks print into pipes, and what they print is hashed meanwhile
    token: str  # the job's credential, for its tasks' requests to the gateway
    ends_lines: bool = False  # an object whose last line has no newline does not run into the next one
    zero: bool = False  # lines end in NUL, and not in a newline
    bounds_lines: bool = False  # a line that is longer than our tools take fails a task before it reads it
    counting: bool = False  # nothing is run: the lines of each source of its tasks are counted
    operation: Word | None = None  # the type of the operation that the job is, if it is one: its outputs are staged
    divides: bool = False  # its tasks print shuffle files
    merges: bool = False  # its tasks get their inputs as open files, and read a range of keys of each
    partitions: Number = 1  # how many partitions these have
    stderr_bytes: Number = 0  # of an operation's attempt: as much of its stderr is kept, whatever its outcome


class FeedSource(Wire):
    """One input of a task that is fed, in the order of feeding: an object, or the lines that begin in a range of it."""

    seq: int
    blob: BlobRef
    name: str = ""  # of the object, if it is a range, or a file of a task that merges
    start: Number = 0
    length: Number | None = None  # None: up to the end
    skip: Number = 0  # lines that are skipped at the start
    upto: Number = 0  # lines beyond the end
    part: Number | None = None  # the partition of a shuffle file that is read, and nothing else of it
    dictionary: Number = 0  # of a join: which dictionary it belongs to, from 1


class FeedPage(Wire):
    """The next inputs of an attempt that is fed. `end` means that there are no more."""

    task: int
    attempt: int
    sources: list[FeedSource] = Field(default_factory=list)
    end: bool = False


@dataclass(slots=True)
class TaskLease:
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
