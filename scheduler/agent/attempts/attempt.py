"""An attempt at a task: its input, the outputs that it emits, and the report about it.

An attempt holds descriptors until it ends: its stdout and stderr, and one for each of the first
outputs that its tools committed (`publish` says what becomes of more). At its end `report` gives
names to what is kept, and the rest disappears with its descriptors. `report` only works on files
and touches no event loop, so heavy reports run in a thread (`is_heavy`).

Example: a task prints 10 bytes, runs `mpipe` twice and exits 0. Its stdout is dropped since
it used `mpipe`, both spooled files become blobs in the order of their commits, and its
stderr file goes back to the scratch pool.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from datapath import shuffle_file
from datapath.passing import Done, DoneFlag
from datapath.shuffle_file import NotAShuffleFileError
from scheduler.agent.attempts import capture
from scheduler.agent.attempts.corefile import core_signal
from scheduler.agent.attempts.handed_input import HandedInput
from scheduler.agent.attempts.input_files import Place, Stamp
from scheduler.agent.attempts.reducer_input import ReducerInput
from scheduler.agent.attempts.verdict import Ending, Stop, Verdict, judge
from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.wire import (
    MAX_OUTPUTS,
    AttemptId,
    AttemptReport,
    BlobRef,
    Outcome,
    OutputRecord,
    PoolSpec,
    SavedFile,
    TaskLease,
    Usage,
)
from scheduler.objects.blobs import copy_file
from scheduler.providers import View

# Bounds of what one attempt may emit, since it takes the agent's memory and space in a report: the number of outputs,
# and the bytes of their names and headers together.
MAX_EMITTED = MAX_OUTPUTS
MAX_EMITTED_BYTES = 2 << 20
HEAVY_BYTES = 128 * 1024
HEAVY_COUNT = 64
MAX_CORE_NAME = 64
# Bytes of stderr that are kept when a task has filled the disk.
STDERR_KEPT = 64 * 1024
# Where tools look for the agent by default; an instance that has it elsewhere tells them by a variable.
SOCKET = "/.remora/agent.sock"
OK = Verdict(Outcome.OK)
# When this process was started, more or less: before its first instance.
STARTED_NS = time.monotonic_ns()


@dataclass(slots=True)
class Emitted:
    """An output in the making: an open file, a blob that was made of it (`kept`), or a reference, which has neither."""

    name: str
    fd: int | None
    reducer: int | None = None
    named: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    blob: str = field(default_factory=new_id)
    md5: str | None = None  # base64, if already known; the task never had the file
    kept: BlobRef | None = None
    disk: int = 0  # bytes on disk of `kept`

    @property
    def weight(self) -> int:
        """Bytes that this output adds to a report, beyond what every output takes."""
        return len(self.name.encode("utf-8", "replace")) + sum(len(k) + len(v) for k, v in self.headers.items())


class Totals(NamedTuple):
    """Totals over some files: bytes, and bytes on disk."""

    size: int
    disk: int


def totals_of(fds: Iterable[int]) -> Totals:
    """The totals over open files."""
    size = disk = 0
    for fd in fds:
        status = os.fstat(fd)
        size += status.st_size
        disk += status.st_blocks * 512
    return Totals(size, disk)


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt that was handed to a lackey under `number`."""

    number: int
    lease: TaskLease
    stdout: int
    stderr: int
    place: Place | None = None
    feed: ReducerInput | HandedInput | None = None
    emitted: list[Emitted] = field(default_factory=list)
    held: int = 0  # how many of the emitted outputs have a descriptor
    weight: int = 0  # of all emitted outputs
    excess: str | None = None  # the bound of outputs that it was refused to exceed
    kept_bytes: int = 0  # bytes in outputs that are blobs already...
    kept_disk: int = 0  # ... and on disk
    open_grants: set[int] = field(default_factory=set)  # files that tools write into and have not committed
    granted_less: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever files are no longer granted
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
        self.granted_less.set()
        return mine

    def files(self) -> list[int]:
        """Descriptors of all files that it writes into."""
        emitted = [output.fd for output in self.emitted if output.fd is not None]
        return [self.stdout, self.stderr, *self.open_grants, *emitted]

    def written(self) -> int:
        """Bytes on disk of all that it has written."""
        return self.kept_disk + self._totals().disk

    def size(self) -> int:
        """Bytes that it has written."""
        return self.kept_bytes + self._totals().size

    def ended(self) -> None:
        """Record that the attempt is over: its files are examined once more, and not for each question about them."""
        self.final = self._totals()

    def _totals(self) -> Totals:
        return self.final or totals_of(self.files())

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


def too_much_emitted(most: str) -> WireError:
    return WireError(409, "InvalidArgument", f"a task may have at most {most}")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a pool gives to the objects that one task leaves behind."""

    spec: PoolSpec
    lease: TaskLease

    @property
    def output_base(self) -> str:
        return naming.output_base(self.spec.login, self.spec.job, self.lease.base, self.spec.phase)

    @property
    def stdout(self) -> str:
        return naming.stdout_name(self.spec.login, self.spec.job, self.lease.base, self.spec.phase, self.lease.uuid)

    @property
    def stderr(self) -> str:
        """Attempts at a task of an operation have a name for each: more than one may be kept."""
        task = self.lease.uuid if self.spec.operation is None else f"{self.lease.uuid}.{self.lease.attempt}"
        return naming.stderr_name(self.spec.login, self.spec.job, self.lease.base, self.spec.phase, task)

    def core(self, program: str) -> str:
        safe = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in program[:MAX_CORE_NAME]) or "unknown"
        return naming.core_name(self.spec.login, self.spec.job, self.spec.phase, safe, new_id())


def common_environment(spec: PoolSpec, view: View, url: str) -> dict[str, str]:
    """Environment variables of all processes in an instance, `init` included."""
    # the instance shares the host's file system: say where the tools find us and where files may go
    shared = view.agent_socket != SOCKET
    return {
        "HOME": view.home,
        "PATH": f"{view.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MANTA_URL": url,
        "MANTA_NO_AUTH": "true",
        "MANTA_USER": spec.login,
        "MANTA_JOB_ID": spec.job,
        "DTRACE_DOF_INIT_DISABLE": "1",
        # As root, tar restores owners, which fails in an instance with one user; most archives have other owners.
        **({"TAR_OPTIONS": "--no-same-owner"} if view.one_user else {}),
        **({"REMORA_PARTITIONS": str(spec.partitions)} if spec.operation is not None else {}),
        **({"REMORA_SOCKET": view.agent_socket, "TMPDIR": view.home} if shared else {}),
    }


def task_environment(
    spec: PoolSpec, lease: TaskLease, place: Place | None, view: View, init: bool = False
) -> dict[str, str]:
    """Environment variables of one task, or of the init script on its behalf, besides `common_environment`."""
    result = {"MANTA_OUTPUT_BASE": Names(spec, lease).output_base}
    if spec.operation is not None:
        result |= {"MANTA_JOB_TYPE": spec.operation}
    if init:
        return result
    if lease.number is not None:
        attempt = {"MANTA_TASK_ID": lease.uuid, "MANTA_ATTEMPT": str(lease.attempt)}
        result |= {"MANTA_TASK_NUMBER": str(lease.number)} | attempt
    if place is not None and lease.input is not None:
        file = view.inputs + place.path
        result |= {
            "MANTA_INPUT_OBJECT": lease.input,
            "mc_input_key": lease.input,
            "MANTA_INPUT_FILE": file,
            "mc_input_file": file,
        }
    if lease.part is not None and spec.operation is None:
        result["MANTA_REDUCER"] = str(lease.part)
    return result


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes the reports of one pool's attempts."""

    stores: Stores
    scratch: capture.Scratch
    spec: PoolSpec
    disk_bytes: int

    def is_heavy(self, attempt: Attempt, verdict: Verdict) -> bool:
        """Whether `report` takes longer than the event loop should wait: it may hash or copy all that was written."""
        if self.stores.moves(self.spec.last or verdict.outcome is Outcome.FAILED, self.spec.last) and attempt.size():
            return True
        many = len(attempt.emitted) > HEAVY_COUNT or attempt.size() > HEAVY_BYTES
        return many or self.spec.divides or attempt.core is not None

    def report(self, attempt: Attempt, done: Done, verdict: Verdict) -> AttemptReport:
        """Publish the outputs that are kept, drop the rest.

        Raises OSError if the disk refuses; then nothing is kept.
        """
        if self.spec.divides and verdict.outcome is Outcome.OK:
            verdict = self._divided(attempt)
        failed = verdict.outcome is Outcome.FAILED
        kept = verdict.outcome is not Outcome.LOST and not (failed and self.spec.operation is not None)
        usage = self.usage(attempt, done)
        if attempt.stop is Stop.FULL:  # before anything is published
            self.empty(attempt)
        names = Names(self.spec, attempt.lease)
        outputs: list[OutputRecord] = []
        stderr = core = None
        if kept:
            outputs = [self._publish(output, verdict) for output in attempt.emitted]
            if self._is_captured(attempt):
                outputs.append(self._stdout(attempt, names, verdict))
        if failed or (kept and self._prints(attempt)):
            stderr = SavedFile(name=names.stderr, blob=self._blob(attempt.stderr, True))
        if failed:
            core = self._core(attempt, done, names)
        keep_stdout = kept and self._is_captured(attempt)
        self.release(attempt, keep_stdout, keep_stderr=stderr is not None, keep_outputs=kept)
        return AttemptReport(
            instance=attempt.instance,
            started_us=clock_us(done.started_ns),
            ended_us=clock_us(done.ended_ns),
            task=attempt.lease.task,
            attempt=attempt.lease.attempt,
            outcome=verdict.outcome,
            code=verdict.code,
            message=verdict.message,
            outputs=outputs,
            stderr=stderr,
            core=core,
            usage=usage,
            missing=missing_of(attempt.missing),
            reason=verdict.reason,
        )

    def _is_captured(self, attempt: Attempt) -> bool:
        """Whether what an attempt has printed is an output: a shuffle file is, whatever a tool has emitted."""
        return self.spec.divides or not attempt.uncaptured

    def _divided(self, attempt: Attempt) -> Verdict:
        """The verdict on an attempt that should have printed a shuffle file: it belongs to its task, which may lie."""
        if extra := next((output.name for output in attempt.emitted if not output.named), None):
            why = f'"{extra}" is an output beside its lines (mpipe): they are for the reducers, and must be printed'
        else:
            capture.seal(self.stores.born(self.spec.last), attempt.stdout)
            try:
                shuffle_file.check(attempt.stdout, self.spec.partitions)
                return OK
            except NotAShuffleFileError as error:
                why = f"what it has printed is no shuffle file: {error}"
        return Verdict(Outcome.FAILED, JobErrorCode.USER_TASK.value, why)

    def _prints(self, attempt: Attempt) -> bool:
        """Whether an attempt of an operation has printed on stderr: the beginning is kept, whatever its outcome."""
        if self.spec.operation is None:
            return False
        size, most = os.fstat(attempt.stderr).st_size, self.spec.stderr_bytes
        if size > most:
            os.ftruncate(attempt.stderr, most)
            os.pwrite(attempt.stderr, f"\n... {size - most} bytes more were dropped\n".encode(), most)
        return size > 0

    def empty(self, attempt: Attempt) -> None:
        """Give back the disk space of what an attempt has written. In any thread."""
        if not attempt.emptied:
            self.stores.discard(attempt.empty())

    def usage(self, attempt: Attempt, done: Done) -> Usage:
        return usage_of(attempt, done, attempt.size())

    def release(
        self, attempt: Attempt, keep_stdout: bool = False, keep_stderr: bool = False, keep_outputs: bool = False
    ) -> None:
        """Close an attempt's files; those that became blobs (`keep…`) are never written again.

        The files of an instance that died are not reused either: the kernel closes its lackey's socket before it kills
        the tasks.
        """
        if not keep_outputs:
            self.stores.discard(output.blob for output in attempt.emitted)  # outputs that were published early
        for fd, kept in ((attempt.stdout, keep_stdout), (attempt.stderr, keep_stderr)):
            if attempt.orphaned or (kept and os.fstat(fd).st_size):
                os.close(fd)
            else:
                self.scratch.give_back(fd)
        attempt.close()

    def _is_final(self, output: Emitted, verdict: Verdict) -> bool:
        """Whether an output becomes an object. Only objects need an MD5, and a store that all nodes see."""
        return self.spec.last or output.named or verdict.outcome is Outcome.FAILED

    def _publish(self, output: Emitted, verdict: Verdict) -> OutputRecord:
        return OutputRecord(
            name=output.name,
            blob=self._emitted(output, output.fd, verdict),
            reducer=output.reducer,
            named=output.named,
            headers=output.headers,
        )

    def _emitted(self, output: Emitted, fd: int | None, verdict: Verdict) -> BlobRef | None:
        if output.kept is not None:
            return self._object(output.kept) if self._is_final(output, verdict) else output.kept
        if fd is None:
            return None
        if output.md5 is None:
            return self._blob(fd, self._is_final(output, verdict), output.blob)
        return capture.publish(self.stores, fd, os.fstat(fd).st_size, True, output.blob, output.md5)

    def _object(self, blob: BlobRef) -> BlobRef:
        """Turn a blob that was expected to be an intermediate into an object."""
        if blob.md5 is not None and blob.node is None:
            return blob
        fd = self.stores.open(blob)
        try:
            if blob.node is None:
                return BlobRef(id=blob.id, size=blob.size, md5=capture.md5_of(fd, blob.size))
            moved = capture.publish(self.stores, fd, blob.size, True, blob.id)
        finally:
            os.close(fd)
        self.stores.own.discard([blob.id])
        return moved

    def _stdout(self, attempt: Attempt, names: Names, verdict: Verdict) -> OutputRecord:
        blob = self._blob(attempt.stdout, self.spec.last or verdict.outcome is Outcome.FAILED)
        return OutputRecord(name=names.stdout, blob=blob)

    def _blob(self, fd: int, final: bool, blob: str | None = None) -> BlobRef:
        size = os.fstat(fd).st_size
        if size:
            capture.seal(self.stores.born(final), fd)
            size = os.fstat(fd).st_size  # final from here on
        return capture.publish(self.stores, fd, size, final, blob)

    def _core(self, attempt: Attempt, done: Done, names: Names) -> SavedFile | None:
        """Copy the task's core file into a blob that the task cannot reach."""
        if attempt.core is None:
            return None
        target = self.stores.born(True).create()
        try:
            copy_file(attempt.core, target, self.disk_bytes)
            return SavedFile(name=names.core(done.program), blob=self._blob(target, True))
        finally:
            os.close(target)


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


def plain_report(lease: TaskLease, verdict: Verdict, missing: BlobRef | None = None) -> AttemptReport:
    """The report of an attempt that left nothing. `missing`: an input that could not be fetched."""
    return AttemptReport(
        task=lease.task,
        attempt=lease.attempt,
        outcome=verdict.outcome,
        code=verdict.code,
        message=verdict.message,
        missing=missing_of(missing),
        reason=verdict.reason,
    )


def clock_us(monotonic_ns: int) -> int:
    """A moment of CLOCK_MONOTONIC as µs since the agent's start, the clock of reports."""
    return max(0, monotonic_ns - STARTED_NS) // 1000


def missing_of(blob: BlobRef | None) -> list[str]:
    """The ids of missing inputs for a report: an intermediate can be recomputed, an object is gone."""
    return [] if blob is None or blob.node is None else [blob.id]


def blobs_of(report: AttemptReport) -> list[BlobRef]:
    """All blobs that a report refers to, except empty ones."""
    blobs = [output.blob for output in report.outputs]
    blobs += [saved.blob for saved in (report.stderr, report.core) if saved]
    return [blob for blob in blobs if blob is not None and blob.size]


def usage_of(attempt: Attempt, done: Done, written: int) -> Usage:
    """The resource usage of an attempt. `written`: bytes in all files that it was given to write."""
    bytes_in = attempt.feed.moved if attempt.feed else attempt.lease.blob.size if attempt.lease.blob else 0
    used = Usage(
        wall_us=(done.ended_ns - done.started_ns) // 1000,
        user_us=done.user_us,
        sys_us=done.sys_us,
        max_rss_kb=max(done.max_rss_kb, attempt.peak_kb),
        bytes_in=attempt.received + (0 if attempt.init else bytes_in),
        bytes_out=attempt.sent + written,
    )
    return used if attempt.before is None else both(attempt.before, used)


def both(first: Usage, second: Usage) -> Usage:
    """The usage of two attempts in sequence: everything is summed, but memory is the larger of the two."""
    sums = {name: getattr(first, name) + getattr(second, name) for name in Usage.model_fields}
    return Usage.model_construct(**sums | {"max_rss_kb": max(first.max_rss_kb, second.max_rss_kb)})
