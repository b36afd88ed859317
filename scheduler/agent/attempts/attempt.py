"""An attempt at a task: its input, the outputs that it emits, and its end.

An attempt holds descriptors until it ends: its stdout and stderr, and one for each of the first
outputs that its tools committed (`publish` says what becomes of more). At its end a report
(`reports`) gives names to what is kept, and the rest disappears with its descriptors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field

from datapath import blobfile
from datapath.blobfile import Totals
from datapath.passing import Done, DoneFlag
from scheduler.agent.attempts.corefile import core_signal
from scheduler.agent.attempts.handed_input import HandedInput
from scheduler.agent.attempts.input_files import Place, Stamp
from scheduler.agent.attempts.reducer_input import ReducerInput
from scheduler.agent.attempts.running_digest import RunningDigest
from scheduler.agent.attempts.verdict import OK, Ending, Stop, Verdict, judge
from scheduler.common.ids import new_blob_id
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.wire import MAX_OUTPUTS, AttemptId, BlobRef, Outcome, PoolSpec, TaskLease, Usage

# Bounds of what one attempt may emit, since it takes the agent's memory and space in a report: the number of outputs,
# and the bytes of their names and headers together.
MAX_EMITTED = MAX_OUTPUTS
MAX_EMITTED_BYTES = 2 << 20
# Bytes of stderr that are kept when a task has filled the disk.
STDERR_KEPT = 64 * 1024


@dataclass(slots=True)
class Emitted:
    """An output in the making: an open file, a blob that was made of it (`kept`), or a reference, which has neither."""

    name: str
    fd: int | None
    reducer: int | None = None
    named: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    blob: str = field(default_factory=new_blob_id)
    md5: str | None = None  # base64, if already known; the task never had the file
    kept: BlobRef | None = None
    disk: int = 0  # bytes on disk of `kept`

    @property
    def weight(self) -> int:
        """Bytes that this output adds to a report, beyond what every output takes."""
        return len(self.name.encode("utf-8", "replace")) + sum(len(k) + len(v) for k, v in self.headers.items())


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt that was handed to a lackey under `number`."""

    number: int
    lease: TaskLease
    stdout: int
    stderr: int
    place: Place | None = None
    feed: ReducerInput | HandedInput | None = None
    digest: RunningDigest | None = None  # of what it prints
    emitted: list[Emitted] = field(default_factory=list)
    held: int = 0  # how many of the emitted outputs have a descriptor
    weight: int = 0  # of all emitted outputs
    excess: str | None = None  # the bound of outputs that it was refused to exceed
    kept_bytes: int = 0  # bytes in outputs that are blobs already...
    kept_disk: int = 0  # ... and on disk
    open_grants: set[int] = field(default_factory=set)  # files that tools write into and have not committed
    granted_less: asyncio.Event | None = None  # set when files are no longer granted, if a tool waits for that
    uncaptured: bool = False  # a tool emitted something: stdout is dropped
    stop: Stop | None = None
    instance: str | None = None  # the instance's name in reports
    init: bool = False  # the pool's init script, on behalf of `lease`
    input_before: Stamp | None = None  # of the blob that is its input, if the task could change it
    input_changed: bool = False
    missing: BlobRef | None = None  # an input that could not be fetched
    long_line: str | None = None  # the sentence about a line of its input that is too long
    disk_full: bool = False  # while it ran, or when it ended
    core: int | None = None  # the core file that the task left, opened
    emptied: bool = False  # its files were emptied
    orphaned: bool = False  # its instance is gone, but its processes may write for a moment yet
    recalled: bool = False  # STOP was sent only so that it may run sooner elsewhere
    received: int = 0  # bytes from the service, through the endpoint
    sent: int = 0  # bytes to the service, through endpoint and tools, that are no output of the attempt
    peak_kb: int = 0  # memory of all its processes together, as far as it was observed
    before: Usage | None = None  # of the init script, if it ran on behalf of this task
    began: float = 0.0  # event loop time at which it became its instance's current task
    told: bool = False  # the supervisor knows, or is about to, that it has begun
    looked: float = 0.0  # ... and of the last look at its run time,
    ran: float = 0.0  # which was so many seconds
    final: Totals | None = None  # of its files, once it has ended and they no longer change

    @property
    def id(self) -> AttemptId:
        return AttemptId(task=self.lease.task, attempt=self.lease.attempt)

    def add(self, *outputs: Emitted) -> None:
        """Add outputs. Raises WireError, and adds none, if they exceed the bounds."""
        self.weight += self.check_room(*outputs)
        self.emitted += outputs
        self.held += sum(output.fd is not None for output in outputs)
        self.kept_bytes += sum(output.kept.size for output in outputs if output.kept is not None)
        self.kept_disk += sum(output.disk for output in outputs)

    def check_room(self, *outputs: Emitted) -> int:
        """The weight of these outputs. Raises WireError if they, with what was emitted before, exceed the bounds.

        The attempt then fails at its end, too: a script that ignores the refusal would otherwise seem to have emitted
        them.
        """
        weight = sum(output.weight for output in outputs)
        if len(self.emitted) + max(1, len(outputs)) > MAX_EMITTED:
            self.excess = f"{MAX_EMITTED} outputs"
        elif self.weight + weight > MAX_EMITTED_BYTES:
            self.excess = f"{MAX_EMITTED_BYTES >> 20} MiB of names and headers of outputs"
        else:
            return weight
        raise too_much_emitted(self.excess)

    def take_back(self, fds: Iterable[int]) -> list[int]:
        """Withdraw granted files; returns those that were still granted, which the caller owns from here on."""
        mine = [fd for fd in fds if fd in self.open_grants]
        self.open_grants.difference_update(mine)
        if self.granted_less is not None:
            self.granted_less.set()
        return mine

    async def fewer_grants(self) -> None:
        """Return once files are no longer granted, or the attempt has ended."""
        self.granted_less = self.granted_less or asyncio.Event()
        self.granted_less.clear()
        await self.granted_less.wait()

    def hash_meanwhile(self) -> Coroutine[None, None, None]:
        """Begin to hash what is printed (into a pipe); it goes on as long as what is returned is awaited."""
        self.digest = RunningDigest(self.stdout)
        return self.digest.follow()

    def files(self) -> list[int]:
        """Descriptors of all files that it writes into."""
        emitted = [output.fd for output in self.emitted if output.fd is not None]
        return [self.stdout, self.stderr, *self.open_grants, *emitted]

    def written(self) -> int:
        """Bytes on disk of all that it has written."""
        return self.kept_disk + (self.final or self._totals()).disk

    def size(self) -> int:
        """Bytes that it has written."""
        return self.kept_bytes + (self.final or self._totals()).size

    def ended(self) -> None:
        """Record that the attempt is over: its files are examined once more, and not for each question about them."""
        self.final = self._totals()

    def _totals(self) -> Totals:
        return blobfile.total(self.files())

    def empty(self) -> list[str]:
        """Drop all that it has written, but for the beginning of stderr; returns the blobs that were made of it."""
        blobs = [output.blob for output in self.emitted if output.kept is not None]
        self.close()
        self.held = self.kept_bytes = self.kept_disk = 0
        self.final = None
        for fd, most in ((self.stdout, 0), (self.stderr, STDERR_KEPT)):
            if os.fstat(fd).st_blocks * 512 > most:
                os.ftruncate(fd, min(most, os.fstat(fd).st_size))
        self.emptied = True
        return blobs

    def close(self) -> None:
        """Close all files that were not published."""
        for output in self.emitted:
            if output.fd is not None:
                os.close(output.fd)
        self.emitted.clear()
        if self.core is not None:
            os.close(self.core)
            self.core = None
        if self.digest is not None:
            self.digest.close()
            self.digest = None


def too_much_emitted(most: str) -> WireError:
    return WireError(409, "InvalidArgument", f"a task may have at most {most}")


def verdict_of(attempt: Attempt, done: Done, spec: PoolSpec) -> Verdict:
    """The verdict on an attempt that its lackey reports as ended."""
    if attempt.long_line is not None:
        return Verdict(Outcome.FAILED, JobErrorCode.INVALID_ARGUMENT.value, attempt.long_line)
    if done.status == 0 and not (done.flags or attempt.stop or attempt.input_changed or attempt.excess):
        return OK
    return judge(
        Ending(
            status=done.status,
            core=DoneFlag.CORE in done.flags,
            core_signal=None if attempt.core is None else core_signal(attempt.core),
            setup_failed=DoneFlag.SETUP in done.flags,
            unsaved=done.status if DoneFlag.UNSAVED in done.flags else 0,
            stop=attempt.stop,
            memory_killed=DoneFlag.MEMORY in done.flags,
            input_changed=attempt.input_changed,
            disk_full=attempt.disk_full,
            unusual_place=attempt.place is not None and attempt.place.unusual,
            init=attempt.init,
            excess=attempt.excess,
            memory_mb=spec.memory_mb,
            disk_gb=spec.disk_gb,
            timeout_s=spec.timeout_s,
        )
    )
