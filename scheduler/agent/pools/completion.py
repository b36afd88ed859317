"""The ways in which attempts end: those that ran, those that never started, and those that have to run elsewhere."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import replace

from pydantic import ValidationError

from datapath.passing import Done
from datapath.slices import LineTooLongError
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.reports import Reporter, blobs_of, plain_report
from scheduler.agent.attempts.verdict import DISK_IS_FULL, FETCH_FAILED, INTERNAL, LOAD_FAILED, OK, Verdict
from scheduler.agent.log import Log
from scheduler.agent.pools.context import AgentContext
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptId, AttemptReport, Outcome, TaskLease

LOST = Verdict(Outcome.LOST, JobErrorCode.INTERNAL.value, INTERNAL, AbortReason.OTHER)
UNSAVED = Verdict(Outcome.LOST, JobErrorCode.INTERNAL.value, INTERNAL, AbortReason.FAILED_CHUNKS)
FULL = Verdict(Outcome.LOST, JobErrorCode.INTERNAL.value, DISK_IS_FULL, AbortReason.RESOURCE_OVERDRAFT)
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_INPUT = Verdict(Outcome.LOST, JobErrorCode.SERVICE_UNAVAILABLE.value, FETCH_FAILED, AbortReason.FAILED_CHUNKS)


class Completion:
    """The completion of one pool's attempts. `spawn` runs slow work; the pool waits for it when it closes.

    `pinned`: objects are kept for its tasks, so that one that is gone is no fault of its user.
    """

    def __init__(
        self,
        node: AgentContext,
        log: Log,
        reporter: Reporter,
        spawn: Callable[[Coroutine[None, None, None]], object],
        pinned: bool = False,
    ) -> None:
        self._pinned = pinned
        self.closed = False
        self.concluding: set[AttemptId] = set()  # attempts that are over, whose reports a thread makes
        self._node = node
        self._log = log
        self._reporter = reporter
        self._spawn = spawn

    def conclude(self, attempt: Attempt, done: Done, verdict: Verdict) -> None:
        """Report an attempt that is over."""
        if verdict.outcome is not Outcome.OK:
            told = {"outcome": verdict.outcome, "code": verdict.code, "why": verdict.message}
            self._log.info("task failed", task=attempt.lease.uuid, **told)
        if self._reporter.is_heavy(attempt, verdict):
            self.concluding.add(attempt.id)
            self._spawn(self._conclude_in_thread(attempt, done, verdict))
        else:
            self._node.finished(self._report(attempt, done, verdict))

    async def _conclude_in_thread(self, attempt: Attempt, done: Done, verdict: Verdict) -> None:
        try:
            report = await asyncio.to_thread(self._report, attempt, done, verdict)
        finally:
            self.concluding.discard(attempt.id)
        if not self.closed:
            self._node.finished(report)
        else:
            self._node.stores.discard(blob.id for blob in blobs_of(report))

    def _report(self, attempt: Attempt, done: Done, verdict: Verdict) -> AttemptReport:
        """The report of an attempt, which is lost if the disk refuses its outputs. In any thread.

        An attempt whose report exceeds the bounds of a message (`model.wire`) fails.
        """
        try:
            return self._reporter.report(attempt, done, verdict)
        except OSError as error:
            self._log.error("outputs of a task could not be stored", task=attempt.lease.uuid, why=str(error))
            self._reporter.release(attempt)
            return plain_report(attempt.lease, FULL if error.errno in NO_SPACE else UNSAVED)
        except ValidationError as error:
            self._reporter.release(attempt)
            why = f"cannot save outputs: {error.errors()[0]['msg']}"
            return plain_report(attempt.lease, Verdict(Outcome.FAILED, JobErrorCode.INTERNAL.value, why))

    def fail(self, lease: TaskLease, code: JobErrorCode, message: str) -> None:
        """Fail a task that never started."""
        self._log.info("task failed", task=lease.uuid, code=code.value, why=message)
        self._node.finished(plain_report(lease, Verdict(Outcome.FAILED, code.value, message)))

    def lack_input(self, lease: TaskLease, why: str, gone: bool) -> None:
        """End a task whose input cannot be fetched.

        It fails if the input is an object and `gone`, unless objects are pinned; else it may run again.
        """
        if gone and not self._pinned and (lease.blob is None or lease.blob.node is None):
            self.fail(lease, JobErrorCode.RESOURCE_NOT_FOUND, LOAD_FAILED)
            return
        self._log.warning("input of a task could not be fetched", task=lease.uuid, why=why)
        self._node.finished(plain_report(lease, NO_INPUT, lease.blob))

    def lose(self, lease: TaskLease) -> None:
        """Report a task as lost through a fault of this node: it may run again."""
        self._node.finished(plain_report(lease, LOST))

    def evict(self, lease: TaskLease, reason: AbortReason = AbortReason.PREEMPTION) -> None:
        """Report a task that found no slot, or whose slot was taken away: it runs elsewhere."""
        self._node.finished(replace(plain_report(lease, LOST), evicted=True, reason=reason))

    def confirm(self, attempt: AttemptId) -> None:
        """Report that no process is left of an attempt that the supervisor has cancelled."""
        self._node.finished(stopped_report(attempt))

    async def count(self, lease: TaskLease, lines: Callable[[], list[int]]) -> None:
        """Report the lines of what a task reads; `lines` counts them, in a thread."""
        try:
            counted = await asyncio.to_thread(lines)
        except LineTooLongError as error:
            self.fail(lease, JobErrorCode.INVALID_ARGUMENT, str(error))
        except OSError as error:
            self._log.warning("lines could not be counted", task=lease.uuid, why=str(error))
            self._node.finished(plain_report(lease, NO_INPUT))
        else:
            report = replace(plain_report(lease, OK), lines=counted)
            self._node.finished(report)

    def skip(self, lease: TaskLease) -> None:
        """Report a task that has nothing to read, and so nothing to do."""
        self._node.finished(plain_report(lease, OK))


def stopped_report(attempt: AttemptId) -> AttemptReport:
    """The report of an attempt of which nothing is left, and which does not count."""
    return AttemptReport(
        task=attempt.task,
        attempt=attempt.attempt,
        outcome=Outcome.LOST,
        code=JobErrorCode.INTERNAL.value,
        message="stopped",
        reason=AbortReason.USER_REQUEST,
    )
