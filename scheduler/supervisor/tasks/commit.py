"""Commit: a batch of reports becomes outputs, next tasks, errors, and counters, in one transaction.

Verdicts (`verdicts.Verdict`) go through three passes. Each takes values and returns others:

    judge   what an event does to a task, by its row and `engine.task`. A report counts only if its agent holds the
            lease of that very attempt, and only if the blobs that it claims are its own (`blob_ownership`). If the
            attempt was lost because its input is missing, the input is lost as well.
    named   the objects of all verdicts have names, or their attempts have failed. Naming can fail: a user may have
            made a directory of that name meanwhile. So it is tried before anything is written for the task, and
            every object in the list of outputs exists. What a failed attempt saves is named after that.
    final   the verdicts are written (`effects`). A producer that could not recompute what was lost fails its
            consumers: they are judged, and go through the passes in turn.

Attempts are numbered by leases, so a batch may be reported twice. The agent itself removes the blobs of a report that
does not count: the supervisor never removes a blob because a report names it.

The intermediates of a task may lie on its node, and be lost with it: `recovery` has them recomputed, and says what a
report of a recomputation means for the consumers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from scheduler.engine import availability
from scheduler.engine.task import (
    PIPELINE,
    Effect,
    Event,
    InputGone,
    InputLost,
    Lost,
    Released,
    Reported,
    TaskState,
    Unplaceable,
    step,
    then,
)
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.tasks import recovery
from scheduler.supervisor.tasks.blob_ownership import Claims, Reporter, blobs_of, objects_of, without_blobs
from scheduler.supervisor.tasks.effects import Effects
from scheduler.supervisor.tasks.operation_reports import OperationReports
from scheduler.supervisor.tasks.outputs import refusal
from scheduler.supervisor.tasks.verdicts import Verdict, reported, task_of

log = logging.getLogger("remora.supervisor")

NO_REASONS: Mapping[int, AbortReason] = {}
FindJob = Callable[[int], LiveJob | None]


def commit_reports(
    c: Connection,
    find_job: FindJob,
    reporter: Reporter,
    reports: Sequence[AttemptReport],
    now: int,
    absent: Collection[str] = (),
    clock_us: int = 0,
) -> Changes:
    """Commit, fail or retry the reported attempts of an agent. `find_job` gives the live job of a pool.

    `absent`: blobs that are claimed to be in the shared store, and are not. `clock_us`: the agent's clock when it sent
    the reports.
    """
    batch = Batch(c, find_job, now, reporter.node, reporter.serves, clock_us=clock_us)
    known = c.all("tasks_for_reports", tasks=json.dumps([report.task for report in reports]))
    rows = {row["id"]: row for row in known}
    for pool in {row["pool"] for row in known}:
        if (live := find_job(pool)) is not None and live.spec.operation is None:
            JobWriter.ask_ahead(c, live)
    claims = Claims(c, [blob for report in reports for blob in blobs_of(report)], reporter.keeps, absent)
    for report in reports:
        row = rows.get(report.task)
        held = row is not None and row["agent"] == reporter.agent and row["attempt"] == report.attempt
        if row is not None and not held:
            batch.confirm(row, report)
        if row is None or (row["agent"] != reporter.agent and row["state"] == TaskState.LEASED):
            batch.changes.refuse(report)  # a task that is forgotten, or whose lease this agent does not hold
        else:
            batch.judge_report(row, report, claims if held else None)
    changes = batch.close()
    if changes.refused:
        spare_needed(c, changes, reports)
    return changes


def spare_needed(c: Connection, changes: Changes, reports: Sequence[AttemptReport]) -> None:
    """Do not refuse reports whose blobs something refers to: agents remove what attempts have left that do not count.

    A report comes twice if its answer was lost. By then its job may be over and forgotten, or its task leased again,
    since the node was lost; but its outputs are objects. What else it left, the sweeps find.
    """
    refused = {(attempt.task, attempt.attempt): attempt for attempt in changes.refused}
    mine = [report for report in reports if (report.task, report.attempt) in refused]
    blobs = {blob.id: refused[report.task, report.attempt] for report in mine for blob in blobs_of(report)}
    if blobs:
        needed = {blobs[row["blob"]] for row in c.all("blobs_referred_to", blobs=json.dumps(sorted(blobs)))}
        changes.refused = [attempt for attempt in changes.refused if attempt not in needed]


def lose_attempts(
    c: Connection,
    find_job: FindJob,
    rows: Sequence[Row],
    now: int,
    node: str | None = None,
    counted: bool = True,
    reasons: Mapping[int, AbortReason] = NO_REASONS,
    in_order: bool = False,
) -> Changes:
    """Retry the tasks of a lost agent, or fail those that were retried often enough.

    `counted`: whether they may have caused the loss; `in_order`: the agent took leave; `reasons`: those that attempts
    of operations get, by task, where it is not that their node is offline.
    """
    batch = Batch(c, find_job, now, node, reason=lambda task: reasons.get(task, AbortReason.NODE_OFFLINE))
    for row in rows:
        batch.judge(row, Lost(counted, in_order))
    return batch.close()


def release_attempts(c: Connection, live: LiveJob, rows: Sequence[Row], now: int, reason: AbortReason) -> Changes:
    """Stop the running attempts of some tasks of a job, which run again. That costs no retry."""
    batch = Batch(c, lambda _: live, now, reason=lambda _: reason)
    for row in rows:
        batch.judge(row, Released())
    return batch.close()


def refuse_ready(c: Connection, live: LiveJob, pool: int, message: str, limit: int, now: int) -> Changes:
    """Fail up to `limit` ready tasks of a pool for which no node will ever have room."""
    batch = Batch(c, lambda _: live, now)
    for row in c.all("ready_of_pool", pool=pool, limit=limit):
        batch.judge(row, Unplaceable(message))
    return batch.close()


class Batch:
    """The reports of one transaction, across jobs.

    `node`: where the attempts ran; `serves`: whether other nodes can fetch from it; `reason`: why the attempt
    at a task is lost that is lost without a report.
    """

    def __init__(
        self,
        c: Connection,
        find_job: FindJob,
        now: int,
        node: str | None = None,
        serves: bool = False,
        reason: Callable[[int], AbortReason] = lambda _: AbortReason.OTHER,
        clock_us: int = 0,
    ) -> None:
        self.c = c
        self.now = now
        self.node = node
        self.changes = Changes()
        self._find_job = find_job
        self._judged: dict[int, Verdict] = {}  # by task; not yet named
        self._operations = OperationReports(c, self.changes, now, reason)
        self._effects = Effects(c, self.changes, self._operations, now, node, serves, clock_us)

    def confirm(self, row: Row, report: AttemptReport) -> None:
        """Record that an attempt of an operation that was stopped is gone from its node, if it was."""
        live = self._find_job(row["pool"])
        if live is None or live.spec.operation is None:
            return
        gone = {"task": report.task, "attempt": report.attempt, "node": self.node, "now": self.now}
        if self.c.run("attempt_gone", **gone):
            self._effects.writer(live)

    def close(self) -> Changes:
        """Name and write what was judged; returns the changes."""
        while self._judged:
            judged, self._judged = list(self._judged.values()), {}
            self._write(self._named(self._operations.with_stderrs(judged)))
        self._effects.close()
        return self._operations.close()

    # Judge.

    def judge_report(self, row: Row, report: AttemptReport, claims: Claims | None) -> None:
        """Judge what a report does to a task. `claims` are checked if it is of the leased attempt."""
        problem, live = None, self._find_job(row["pool"])
        if claims is not None and row["id"] not in self._judged and (mine := list(blobs_of(report))):
            phase = live.phase_of(row["pool"]) if live else 0
            last, hashed = (live.makes_objects(phase), live.hashes(phase)) if live else (False, False)
            problem = claims.problem(mine, objects_of(report, last), objects_of(report, hashed))
        if problem is None:
            waits = live is not None and live.spec.operation is not None and report.reason == AbortReason.FAILED_CHUNKS
            self.judge(row, reported(report, not (report.missing or waits)), report)
        else:
            log.warning("a report was refused", extra={"node": self.node, "task": row["uuid"], "why": problem})
            self.judge(
                row, Reported(report.attempt, Outcome.LOST, JobErrorCode.INTERNAL, problem), without_blobs(report)
            )

    def judge(self, row: Row, event: Event, report: AttemptReport | None = None) -> None:
        """Judge what an event does to a task; `close` does it. A second event of the same task changes nothing."""
        live = self._find_job(row["pool"])
        phase = live.phase_of(row["pool"]) if live else 0
        earlier = self._judged.get(row["id"])
        before = earlier.result.task if earlier else task_of(row)
        result = step(before, event, live.policy(phase) if live else PIPELINE)
        if earlier or live is None or result.task == before:
            if report and Effect.DISCARD in result.effects:
                self.changes.refuse(report)
            return
        verdict = Verdict.on(live, phase, row, before, event, result, report)
        self._judged[row["id"]] = self._with_input(verdict) if verdict.given_back else verdict

    def _with_input(self, verdict: Verdict) -> Verdict:
        """The verdict, and what it means for the input if the attempt was lost because it could not get that."""
        row, report, result = verdict.row, verdict.report, verdict.result
        found = recovery.missed(self.c, row, report.missing) if report and report.missing else recovery.NOTHING_MISSED
        if report and report.missing and not found.excused:
            result = step(verdict.before, reported(report), verdict.live.policy(verdict.phase))
        if found.hopeless:
            result = then(result, InputGone(found.hopeless))
        if result.task.state is not TaskState.READY:
            return verdict._replace(result=result)
        after = verdict.availability
        if row["reducer"] is None:
            after = availability.step(
                after, availability.Event.MISSED if found.lost else availability.Event.ATTEMPT_LOST
            )
            lost = after.is_awaited
        else:
            lost = self.c.run("attempt_lost_of_task", task=row["id"]) > 0 or found.lost
        if lost:
            self.changes.recover.add(verdict.live.id)
        return verdict._replace(result=then(result, InputLost()) if after.is_awaited else result, availability=after)

    # Named.

    def _named(self, judged: Sequence[Verdict]) -> Sequence[Verdict]:
        """The verdicts once their objects have names.

        An attempt whose output cannot have its name gets another verdict, with an error that says so.
        """
        unnamed = self._name(judged, {})
        if not unnamed:
            return judged
        verdicts = [verdict.without(unnamed) for verdict in judged]
        failed = [new for new, old in zip(verdicts, judged, strict=True) if new is not old]
        paths = frozenset(unnamed | self._name(failed, unnamed))
        return [verdict._replace(unnamed=paths) for verdict in verdicts]

    def _name(self, verdicts: Iterable[Verdict], unnamed: Collection[str]) -> dict[str, WireError]:
        """Name objects, except for paths in `unnamed`; returns why others could not be named, by path."""
        objects: list[NewObject] = []
        refused: list[tuple[NewObject, WireError]] = []
        for verdict in verdicts:
            for new in verdict.objects():
                if problem := refusal(verdict.live.owner, new.path):
                    refused.append((new, problem))
                elif new.path not in unnamed:
                    objects.append(new)
        placed = namespace.put_objects(self.c, objects, self.now, by_service=True)
        refused += placed.refused
        self.changes.discard += [*placed.discard, *(new.etag for new, _ in refused if new.size)]
        return {new.path: why for new, why in refused}

    # Final.

    def _write(self, verdicts: Sequence[Verdict]) -> None:
        """Write verdicts, and judge next the consumers of what cannot be recomputed."""
        if hopeless := self._effects.write(verdicts):
            for row in self.c.all("tasks_for_reports", tasks=json.dumps(list(hopeless))):
                self.judge(row, InputGone(hopeless[row["id"]]))
