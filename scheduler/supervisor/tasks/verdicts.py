"""Verdicts: what an event does to a task, decided before anything is written.

A verdict is a value. Each pass of `commit` takes verdicts and returns others, so the content of a verdict never depends
on which pass has already processed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from scheduler.engine.availability import AVAILABILITIES, Availability
from scheduler.engine.task import STATES, Effect, Event, InputGone, Released, Reported, Step, Task, TaskState, step
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.objects.entries import NewObject
from scheduler.records.database import Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.tasks.outputs import new_object

# Codes of what refuses a name to an object because its account has reached a limit.
LIMITS = frozenset({"DirectoryLimitExceeded", "NotEnoughSpace", "QuotaExceeded"})


class Verdict(NamedTuple):
    """The verdict on one task: its new state, the effects, and the report that caused them.

    Outputs of a pipeline get their names with the verdict (`objects`). Those of an operation are staged, and only what
    their attempts have printed on stderr is named at once.
    `availability`: where the input of a map task stands; `revoked`: the attempt still runs somewhere, and no longer
    counts; `unnamed`: paths that objects of the attempt could not have; `limited`: it was aborted, for its account has
    reached a limit.
    """

    live: LiveJob
    row: Row
    before: Task
    result: Step
    report: AttemptReport | None
    phase: int
    availability: Availability
    revoked: bool = False
    unnamed: frozenset[str] = frozenset()
    limited: bool = False

    @classmethod
    def on(
        cls, live: LiveJob, phase: int, row: Row, before: Task, event: Event, result: Step, report: AttemptReport | None
    ) -> Verdict:
        """What `event` has made of the task of a row, as a report says or without one."""
        revoked = before.state is TaskState.LEASED and isinstance(event, InputGone | Released)
        return cls(live, row, before, result, report, phase, AVAILABILITIES[row["availability"]], revoked)

    @property
    def last(self) -> bool:
        """Whether outputs of the task are outputs of the job."""
        return self.phase + 1 == len(self.live.pools)

    @property
    def staged(self) -> bool:
        """Whether outputs of the task are staged, because it belongs to an operation."""
        return self.live.spec.operation is not None

    @property
    def outcome(self) -> Outcome:
        """How the attempt has ended, without a report: it was lost."""
        if self.result.effects & {Effect.COMMIT, Effect.REMADE}:
            return Outcome.OK
        return Outcome.FAILED if self.failed else Outcome.LOST

    @property
    def failed(self) -> bool:
        """Whether the attempt has failed by its user's fault."""
        reported = self.report is not None and self.report.outcome is Outcome.FAILED
        return (reported and Effect.SAVE in self.result.effects) or self.result.error is not None

    @property
    def given_back(self) -> bool:
        """Whether an attempt was lost, and the task is to be retried."""
        return self.before.state is TaskState.LEASED and self.result.task.state is TaskState.READY

    def objects(self) -> Iterator[NewObject]:
        """The objects that the attempt's outputs become."""
        report, effects = self.report, self.result.effects
        if report is None:
            return
        failed, committed, staged = Effect.SAVE in effects, Effect.COMMIT in effects, self.staged
        if failed or committed:
            named = not staged and (failed or self.last)
            for output in report.outputs:
                if output.blob is not None and (named or output.named):
                    yield new_object(output.name, output.blob, output.headers)
        if failed or (staged and committed):
            for saved in (report.stderr, report.core):
                if saved is not None:
                    yield new_object(saved.name, saved.blob)

    def silent(self) -> Verdict:
        """The verdict, as if the attempt had printed nothing on stderr."""
        assert self.report is not None
        return self._replace(report=replace(self.report, stderr=None))

    def without(self, unnamed: Mapping[str, WireError]) -> Verdict:
        """The verdict on an attempt that succeeded, except that an output could not be named: it has failed.

        It is aborted instead if that is for a limit, and the operation is to wait until its user has made room: but
        only if none of its objects has a name, since the agent then removes their bytes. `unnamed`: why each path could
        not be named.
        """
        objects = list(self.objects())
        lost = [new.path for new in objects if new.path in unnamed]
        if not lost or Effect.COMMIT not in self.result.effects:
            return self
        why, operation = unnamed[lost[0]], self.live.spec.operation
        if operation and operation.suspends_on_limit and why.code in LIMITS and len(lost) == len(objects):
            lost_event = Reported(self.before.attempt, Outcome.LOST, JobErrorCode.INTERNAL, why.message, counted=False)
            return self._replace(result=step(self.before, lost_event, self.live.policy(self.phase)), limited=True)
        message = f'cannot save output "{lost[0]}": {why.message}'
        event = Reported(self.before.attempt, Outcome.FAILED, JobErrorCode.INTERNAL, message)
        return self._replace(result=step(self.before, event, self.live.policy(self.phase)))


def task_of(row: Row) -> Task:
    """The task of a row of `tasks_for_reports` or a similar statement."""
    return Task(STATES[row["state"]], row["attempt"], row["retries"], row["remakes"] > 0, row["failures"])


def reported(report: AttemptReport, counted: bool = True) -> Reported:
    """The event of a report. `counted`: whether the task may have caused a loss."""
    return Reported(report.attempt, report.outcome, report.code, report.message, counted and not report.evicted)
