"""Reports of attempts: what the agent says of one that has ended, with the outputs that are kept.

A reporter gives names to what is kept, and drops the rest. It only works on files and touches no event
loop, so heavy reports run in a thread (`is_heavy`).

Example: a task prints 10 bytes, runs `mpipe` twice and exits 0. Its stdout is dropped since
it used `mpipe`, both spooled files become blobs in the order of their commits, and its
stderr file goes back to the scratch pool.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from datapath import shuffle_file
from datapath.passing import Done
from datapath.shuffle_file import NotAShuffleFileError
from scheduler.agent.attempts import capture, output_names
from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.attempts.running_digest import RunningDigest
from scheduler.agent.attempts.verdict import OK, Stop, Verdict
from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_blob_id
from scheduler.model import wire
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import AttemptReport, BlobRef, Outcome, OutputRecord, PoolSpec, SavedFile, TaskLease, Usage
from scheduler.objects.blobs import copy_file

# From so many bytes or outputs on a report is heavy.
HEAVY_BYTES = 128 * 1024
HEAVY_COUNT = 64
# When this process was started, more or less: before its first instance.
STARTED_NS = time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes the reports of one pool's attempts."""

    stores: Stores
    scratch: capture.Scratch
    spec: PoolSpec
    disk_bytes: int

    def is_heavy(self, attempt: Attempt, verdict: Verdict) -> bool:
        """Whether `report` takes longer than the event loop should wait: it may hash or copy all that was written."""
        size, last = attempt.size(), self.spec.last
        if size > HEAVY_BYTES or len(attempt.emitted) > HEAVY_COUNT or self.spec.divides or attempt.core is not None:
            return True
        return size > 0 and self.stores.moves(last or verdict.outcome is Outcome.FAILED, last)

    def report(self, attempt: Attempt, done: Done, verdict: Verdict) -> AttemptReport:
        """Publish the outputs that are kept, drop the rest.

        Raises OSError if the disk refuses, ValidationError if the report exceeds a bound of messages (`model.wire`);
        then nothing is kept, once the attempt is released.
        """
        if self.spec.divides and verdict.outcome is Outcome.OK:
            verdict = self._divided(attempt)
        failed = verdict.outcome is Outcome.FAILED
        kept = verdict.outcome is not Outcome.LOST and not (failed and self.spec.operation is not None)
        usage = self.usage(attempt, done)
        if attempt.stop is Stop.FULL:  # before anything is published
            self.empty(attempt)
        outputs: list[OutputRecord] = []
        stdout = stderr = core = None
        if kept:
            if attempt.emitted:
                outputs += [self._publish(output, verdict) for output in attempt.emitted]
            if self.spec.divides or not attempt.uncaptured:  # a shuffle file is an output, whatever a tool has emitted
                stdout = self._stdout(attempt, verdict)
                outputs.append(stdout)
        if failed or (kept and self.spec.operation is not None and self._prints(attempt)):
            stderr = SavedFile(
                name=output_names.stderr(self.spec, attempt.lease), blob=self._blob(attempt.stderr, True)
            )
        if failed:
            core = self._core(attempt, done)
        report = AttemptReport(
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
        if attempt.emitted or failed or usage.bytes_out > HEAVY_BYTES:  # else the task has chosen nothing in it
            wire.check(report)
        self.release(attempt, is_blob(stdout), is_blob(stderr), keep_outputs=kept)
        return report

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
        """Close an attempt's files, or reuse them; those that became blobs (`keep…`) are never written again.

        The files of an instance that died are not reused either: the kernel closes its lackey's socket before it kills
        the tasks.
        """
        if not keep_outputs:
            self.stores.discard(output.blob for output in attempt.emitted)  # outputs that were published early
        for fd, kept in ((attempt.stdout, keep_stdout), (attempt.stderr, keep_stderr)):
            if attempt.orphaned or kept:
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
            hashed = self._is_hashed(output.named, verdict)
            return self._blob(fd, self._is_final(output, verdict), output.blob, hashed)
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

    def _stdout(self, attempt: Attempt, verdict: Verdict) -> OutputRecord:
        final, hashed = self.spec.last or verdict.outcome is Outcome.FAILED, self._is_hashed(False, verdict)
        blob = self._blob(attempt.stdout, final, hashed=hashed, digest=attempt.digest)
        return OutputRecord(name=output_names.stdout(self.spec, attempt.lease), blob=blob)

    def _is_hashed(self, named: bool, verdict: Verdict) -> bool:
        """Whether a final output needs an MD5: it becomes an object, and is not only read by the next stage."""
        return self.spec.hashed or named or verdict.outcome is Outcome.FAILED

    def _blob(
        self,
        fd: int,
        final: bool,
        blob: str | None = None,
        hashed: bool = True,
        digest: RunningDigest | None = None,
    ) -> BlobRef:
        blob = blob or new_blob_id()
        if digest is None and (kept := capture.keep(self.stores, fd, final, blob, hashed)) is not None:
            return kept
        md5, size = None, os.fstat(fd).st_size
        if size:
            size, is_same = capture.seal(self.stores.born(final), fd)
            md5 = digest.finish(size) if digest is not None and is_same else None
        return capture.publish(self.stores, fd, size, final, blob, md5, hashed)

    def _core(self, attempt: Attempt, done: Done) -> SavedFile | None:
        """Copy the task's core file into a blob that the task cannot reach."""
        if attempt.core is None:
            return None
        target = self.stores.born(True).create()
        try:
            copy_file(attempt.core, target, self.disk_bytes)
            return SavedFile(name=output_names.core(self.spec, done.program), blob=self._blob(target, True))
        finally:
            os.close(target)


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


def failed_report(report: AttemptReport, message: str, code: JobErrorCode = JobErrorCode.INTERNAL) -> AttemptReport:
    """The report of the same attempt as failed, without outputs."""
    return AttemptReport(
        task=report.task,
        attempt=report.attempt,
        outcome=Outcome.FAILED,
        code=code.value,
        message=message,
        usage=report.usage,
        instance=report.instance,
    )


def clock_us(monotonic_ns: int) -> int:
    """A moment of CLOCK_MONOTONIC as µs since the agent's start, the clock of reports."""
    return (monotonic_ns - STARTED_NS) // 1000 if monotonic_ns > STARTED_NS else 0


def missing_of(blob: BlobRef | None) -> list[str]:
    """The ids of missing inputs for a report: an intermediate can be recomputed, an object is gone."""
    return [] if blob is None or blob.node is None else [blob.id]


def is_blob(saved: OutputRecord | SavedFile | None) -> bool:
    """Whether a file became a blob: an empty one is none."""
    return saved is not None and saved.blob is not None and saved.blob.size > 0


def blobs_of(report: AttemptReport) -> list[BlobRef]:
    """All blobs that a report refers to, except empty ones."""
    saved = (*report.outputs, report.stderr, report.core)
    return [each.blob for each in saved if each is not None and each.blob is not None and each.blob.size]


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
    sums = {name: getattr(first, name) + getattr(second, name) for name in Usage.__slots__}
    return Usage(**sums | {"max_rss_kb": max(first.max_rss_kb, second.max_rss_kb)})
