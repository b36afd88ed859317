"""Reports about tasks of operations: what differs from those of pipelines when a batch of reports is committed.

Outputs are staged and not named; each attempt's row is ended; the stderr of so many attempts is kept. Failures are
counted for the whole operation, and at the last one that it survives, or at one that no further attempt can mend, the
operation fails, in the transaction that commits the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from scheduler.engine.task import BY_ITSELF, Effect, TaskState
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations import document
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import attempts, ending, shuffling
from scheduler.supervisor.tasks import staging
from scheduler.supervisor.tasks.verdicts import Verdict

Error = tuple[str, str]


class OperationReports:
    """What one transaction commits of operations. `reason(task)`: why an attempt without a report is lost."""

    def __init__(self, c: Connection, changes: Changes, now: int, reason: Callable[[int], AbortReason]) -> None:
        self._c = c
        self._changes = changes
        self._now = now
        self._reason = reason
        self._kept: Counter[int] = Counter()  # stderrs that this transaction keeps, by job
        self._staged: Counter[int] = Counter()  # outputs, by job
        self._lives: dict[int, LiveJob] = {}
        self._first_failures: dict[int, Error] = {}
        self._fatal: dict[int, Error] = {}

    def with_stderrs(self, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
        """The verdicts, without the stderr of attempts of operations that there is no room for."""
        printed = [verdict for verdict in verdicts if verdict.staged and _prints(verdict)]
        if not printed:
            return verdicts
        dropped = {
            verdict.row["id"]
            for verdict in sorted(printed, key=lambda each: not each.failed)  # those that failed come first
            if not self._keeps(verdict)
        }
        return [verdict.silent() if verdict.row["id"] in dropped else verdict for verdict in verdicts]

    def _keeps(self, verdict: Verdict) -> bool:
        """Whether there is room for the stderr of an attempt, which is discarded otherwise."""
        live = verdict.live
        keeps, discard = attempts.room_for_stderr(self._c, live, self._kept[live.id], verdict.failed)
        self._kept[live.id] += keeps
        self._changes.discard += discard
        if not keeps and verdict.report and verdict.report.stderr:
            self._changes.discard.append(verdict.report.stderr.blob.id)
        return keeps

    def carry_out(self, writer: JobWriter, verdict: Verdict, where: str | None) -> None:
        """Stage what an attempt has left, end its row, and count how it ended. `where`: the node of intermediates."""
        live, row, report, outcome = verdict.live, verdict.row, verdict.report, verdict.outcome
        self._lives[live.id] = live
        stderr = None
        if report is not None and outcome is not Outcome.LOST:
            stderr = report.stderr.name if report.stderr and report.stderr.name not in verdict.unnamed else None
        if report is not None and Effect.COMMIT in verdict.result.effects:
            if live.spec.phases[verdict.phase].divides:
                shuffling.record(self._c, live, verdict.phase, row, report.outputs, where)
            else:
                self._staged[live.id] += staging.stage(self._c, live, verdict.phase, row, report.outputs)
            counted = [{"task": row["id"], "seq": seq, "lines": lines} for seq, lines in enumerate(report.lines, 1)]
            self._c.many("count_lines", counted)
            if (name := staging.reference(report.outputs)) is not None:
                message = f'"{name}" is an output by its name (mcat): an operation publishes what its tasks print'
                self._fatal.setdefault(live.id, (JobErrorCode.INVALID_ARGUMENT, message))
        if verdict.before.state is TaskState.LEASED:
            reason = self._reason_of(verdict)
            if verdict.revoked and outcome is Outcome.LOST:
                self._c.run("stop_attempt", task=row["id"], attempt=row["attempt"], reason=reason)
            else:
                self._c.run("end_attempt", **attempts.ended(row, outcome, reason, report, self._now, stderr))
        if outcome is not Outcome.OK:
            self._unsuccessful(writer, verdict)

    def _reason_of(self, verdict: Verdict) -> AbortReason:
        """Why an attempt was aborted, if it was."""
        if verdict.limited:
            return AbortReason.ACCOUNT_LIMIT_EXCEEDED
        return AbortReason.read(verdict.report.reason) if verdict.report else self._reason(verdict.row["id"])

    def _unsuccessful(self, writer: JobWriter, verdict: Verdict) -> None:
        live = verdict.live
        assert live.spec.operation is not None
        failures = live.spec.operation.failures
        error = verdict.result.error or error_of(verdict.report)
        ended = "unscheduled" if self._reason_of(verdict).before_a_node else "aborted"
        writer.unsuccessful(verdict.row["pool"], "failed" if verdict.failed else ended)
        if verdict.limited:
            self._c.run("set_suspended", job=live.id, suspended=1)
            self._changes.suspended[live.id] = True
        if verdict.failed:
            self._first_failures.setdefault(live.id, error)
        recomputed = verdict.report is not None and verdict.report.missing
        if self._reason_of(verdict) is AbortReason.FAILED_CHUNKS and not (verdict.failed or recomputed):
            self._lacks(verdict, error)
        readers_would_wait = verdict.row["number"] == shuffling.SHARED
        hopeless = verdict.failed and not failures.goes_on and error[0] not in BY_ITSELF
        if readers_would_wait or hopeless:
            self._fatal.setdefault(live.id, error)
        elif failures.once:
            self._fatal.setdefault(
                live.id, (error[0], f"an attempt did not succeed, and none may be repeated: {error[1]}")
            )

    def _lacks(self, verdict: Verdict, error: Error) -> None:
        """An attempt could not read its input, or write its output: fail, or wait until all inputs are available."""
        live = verdict.live
        assert live.spec.operation is not None
        if live.spec.operation.unavailable.waits_later:
            self._changes.lacking.add(live.id)
        else:
            what = what_of(verdict)["what"]
            self._fatal.setdefault(live.id, (error[0], f"the input of {what} is not available: {error[1]}"))

    def close(self) -> Changes:
        """Fail the operations that do not survive this transaction."""
        for live in self._lives.values():
            if error := self._fatal.get(live.id) or self._too_many(live) or self._too_much(live):
                ending.fail(self._c, live, self._changes, self._now, *error)
        return self._changes

    def _too_many(self, live: LiveJob) -> Error | None:
        """The error of an operation with too many failed attempts."""
        assert live.spec.operation is not None
        failures, first = live.spec.operation.failures, self._first_failures.get(live.id)
        if first is None or failures.goes_on:
            return None
        row = self._c.one("job_by_id", job=live.id)
        assert row is not None
        if row["failed"] < failures.most:
            return None
        many = "1 attempt" if row["failed"] == 1 else f"{row['failed']} attempts"
        return first[0], f"{many} failed: {first[1]}"

    def _too_much(self, live: LiveJob) -> Error | None:
        """The error of an operation with too many outputs."""
        row = self._c.one("add_staged", job=live.id, staged=new) if (new := self._staged[live.id]) else None
        if row is None or row["staged"] <= document.MAX_STAGED:
            return None
        advice = "make fewer tasks (a larger task_size), or fewer outputs in each (mpipe)"
        made = f"the operation has made {row['staged']:,} outputs, of at most {document.MAX_STAGED:,}"
        return JobErrorCode.INVALID_ARGUMENT, f"{made}: {advice}"


def what_of(verdict: Verdict) -> dict[str, str]:
    """What an error record of an operation says that failed: `map task 17, attempt 2`."""
    kind, row = verdict.live.kind(verdict.phase), verdict.row
    return {} if kind is None else {"what": f"{kind} task {row['number']}, attempt {row['attempt']}"}


def _prints(verdict: Verdict) -> bool:
    """Whether an attempt that counts has printed something on stderr."""
    counts = bool(verdict.result.effects & {Effect.COMMIT, Effect.SAVE})
    return counts and verdict.report is not None and verdict.report.stderr is not None


def error_of(report: AttemptReport | None) -> Error:
    """The error of an attempt that did not succeed."""
    code = report.code if report else None
    return code or JobErrorCode.INTERNAL, (report.message if report else None) or "internal error"
