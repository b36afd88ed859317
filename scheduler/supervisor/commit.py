"""A batch of reports becomes outputs, next tasks, errors, and counters, in one transaction.

Each report is judged by `engine.task.step` against the task's row. Attempts are numbered by
leases, so only the agent that holds the lease can name the number that counts, and a batch
may be handed in twice.

Objects get their names first, all of a batch together, because that can go wrong: meanwhile
somebody made a directory of that name. Then the attempt has failed, by an error that says so,
and is judged as any other that failed. So whatever is in the list of outputs is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.engine.task import FINAL, Effect, Event, Lost, Reported, Step, Task, TaskState, Unplaceable, step
from scheduler.model import names
from scheduler.model.errors import JobErrorCode, authorization_failed
from scheduler.model.wire import AttemptReport, Outcome, OutputRecord, SavedFile
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection, Row
from scheduler.supervisor import errors
from scheduler.supervisor.book import Item, JobBook
from scheduler.supervisor.changes import Changes
from scheduler.supervisor.live import LiveJob
from scheduler.supervisor.outputs import new_object
from scheduler.supervisor.resolve import resolve

FindJob = Callable[[int], LiveJob | None]


def commit_reports(
    c: Connection, find_job: FindJob, reports: Sequence[AttemptReport], now: int, node: str | None = None
) -> Changes:
    """Commit, fail or retry the reported attempts of a node. `find_job` gives the live job of a pool."""
    batch = _Batch(c, find_job, now, node)
    known = c.all("tasks_for_reports", tasks=json.dumps([report.task for report in reports]))
    rows = {row["id"]: row for row in known}
    for report in reports:
        if row := rows.get(report.task):  # else forgotten long ago; the sweep knows whether its blobs have names
            batch.judge(row, Reported(report.attempt, report.outcome, report.code, report.message), report)
    return batch.close()


def lose_attempts(c: Connection, find_job: FindJob, rows: Sequence[Row], now: int, node: str | None = None) -> Changes:
    """The agent that held these tasks is gone: retry them, or fail those that were retried enough."""
    batch = _Batch(c, find_job, now, node)
    for row in rows:
        batch.judge(row, Lost())
    return batch.close()


def refuse_ready(c: Connection, live: LiveJob, pool: int, message: str, limit: int, now: int) -> Changes:
    """No node will ever have room for tasks of this pool: fail `limit` of those that are ready."""
    batch = _Batch(c, lambda _: live, now)
    for row in c.all("ready_of_pool", pool=pool, limit=limit):
        batch.judge(row, Unplaceable(message))
    return batch.close()


@dataclass(slots=True)
class _Judged:
    """A task that changes, what changes, and the report that did it."""

    live: LiveJob
    row: Row
    before: Task
    result: Step
    report: AttemptReport | None
    phase: int

    @property
    def last(self) -> bool:
        """Whether outputs of the task are outputs of the job."""
        return self.phase + 1 == len(self.live.pools)

    def objects(self) -> Iterator[NewObject]:
        """What of the attempt becomes objects."""
        if self.report is None:
            return
        failed = Effect.SAVE in self.result.effects
        if failed or Effect.COMMIT in self.result.effects:
            for output in self.report.outputs:
                if output.blob is not None and (failed or self.last or output.named):
                    yield new_object(output.name, output.blob, output.headers)
        if failed:
            for saved in (self.report.stderr, self.report.core):
                if saved is not None:
                    yield new_object(saved.name, saved.blob)


class _Batch:
    """Reports of one transaction, across jobs. `node`: where the attempts were."""

    def __init__(self, c: Connection, find_job: FindJob, now: int, node: str | None = None) -> None:
        self.c = c
        self.now = now
        self.node = node
        self.changes = Changes()
        self._find_job = find_job
        self._judged: dict[int, _Judged] = {}  # by task
        self._books: dict[int, JobBook] = {}
        self._rows: list[dict[str, object]] = []
        self._unnamed: dict[str, str] = {}  # why objects could not be named, by path

    def judge(self, row: Row, event: Event, report: AttemptReport | None = None) -> None:
        """Say what an event does to a task; `close` does it."""
        live = self._find_job(row["pool"])
        before = Task(TaskState(row["state"]), row["attempt"], row["retries"])
        earlier = self._judged.get(row["id"])
        result = step(earlier.result.task if earlier else before, event)
        if earlier or result.task == before or live is None:
            if report and Effect.DISCARD in result.effects:
                self.discard_report(report)
            return
        self._judged[row["id"]] = _Judged(live, row, before, result, report, live.phase_of(row["pool"]))

    def close(self) -> Changes:
        self._name(self._judged.values())
        if self._unnamed:
            self._name(filter(self._rejudge, self._judged.values()))
        for judged in self._judged.values():
            self._carry_out(judged)
        self.c.many("update_task", self._rows)
        for book in self._books.values():
            book.close()
        return self.changes

    # Names.

    def _name(self, all_judged: Iterable[_Judged]) -> None:
        """Give objects their names, and remember which could not have theirs."""
        objects = []
        for judged in all_judged:
            for new in judged.objects():
                if names.owner(new.path) != judged.live.owner:
                    self._refuse(new, authorization_failed(judged.live.owner, new.path).message)
                elif new.path not in self._unnamed:
                    objects.append(new)
        placed = namespace.put_objects(self.c, objects, self.now, by_service=True)
        self.changes.discard += placed.discard
        for new, problem in placed.refused:
            self._refuse(new, problem.message)

    def _refuse(self, new: NewObject, why: str) -> None:
        self._unnamed[new.path] = why
        if new.size:
            self.changes.discard.append(new.etag)

    def _rejudge(self, judged: _Judged) -> bool:
        """An attempt that succeeded but for the name of an output has failed; whether that is so."""
        lost = [new.path for new in judged.objects() if new.path in self._unnamed]
        if not lost or Effect.COMMIT not in judged.result.effects:
            return False
        message = f'cannot save output "{lost[0]}": {self._unnamed[lost[0]]}'
        event = Reported(judged.before.attempt, Outcome.FAILED, JobErrorCode.INTERNAL, message)
        judged.result = step(judged.before, event)
        return True

    # What follows.

    def _carry_out(self, judged: _Judged) -> None:
        row, report, effects = judged.row, judged.report, judged.result.effects
        book = self._book(judged.live)
        self._write_task(judged)
        if report and Effect.COMMIT in effects:
            self._forward(book, judged, report)
        if report and Effect.DISCARD in effects:
            self.discard_report(report)
        if Effect.RETRIED in effects:
            book.retried()
        if judged.result.error:
            self._fail(book, judged)
        if judged.result.task.state in FINAL:
            book.finished(row["pool"], report.usage if report else None)
            self._consumed(row)

    def _book(self, live: LiveJob) -> JobBook:
        if live.id not in self._books:
            self._books[live.id] = JobBook(self.c, live, self.changes, self.now)
        return self._books[live.id]

    def _write_task(self, judged: _Judged) -> None:
        row, task, report = judged.row, judged.result.task, judged.report
        again = task.state is TaskState.READY
        held = judged.before.state is TaskState.LEASED
        self.changes.left[row["pool"]] += held
        self.changes.ready[row["pool"]] += again - (not held)
        self.changes.outcomes[task.state] += 1
        self._rows.append(
            {
                "task": row["id"],
                "state": task.state,
                "retries": task.retries,
                "usage": report.usage.model_dump_json() if report and not again else None,
                "own": row["own"] if again else 0,
            }
        )

    def _forward(self, book: JobBook, judged: _Judged, report: AttemptReport) -> None:
        following, origin = judged.phase + 1, judged.row["origin"]
        for output in report.outputs:
            blob = output.blob
            if blob is None:
                self._forward_reference(book, following, output, origin)
                continue
            own = not (judged.last or output.named)
            item = Item(output.name, origin, blob.id, blob.size, blob.md5, own, output.reducer)
            book.forward(following, item)

    def _forward_reference(self, book: JobBook, phase: int, output: OutputRecord, origin: str | None) -> None:
        """An object emitted by name is looked up for the phase that it reaches, with that phase's errors."""
        if phase == len(book.live.pools):
            book.forward(phase, Item(output.name, origin, "", 0))
            return
        answer = resolve(self.c, book.live.owner, [output.name])[output.name]
        if isinstance(answer, tuple):
            book.problem(phase, output.name, origin, answer)
        else:
            book.forward(phase, Item.of_entry(answer.path, origin, answer, output.reducer))

    def _fail(self, book: JobBook, judged: _Judged) -> None:
        assert judged.result.error is not None
        code, message = judged.result.error
        row, report = judged.row, judged.report
        saved = report if report and Effect.SAVE in judged.result.effects else None
        record = errors.record(
            judged.phase,
            code,
            message,
            row["input"],
            row["origin"],
            taskId=row["uuid"],
            server=self.node,
            machine=report.instance if report else None,
            stderr=self._saved_name(saved.stderr) if saved else None,
            core=self._saved_name(saved.core) if saved else None,
        )
        book.error(record, row["origin"])

    def _saved_name(self, saved: SavedFile | None) -> str | None:
        return None if saved is None or saved.name in self._unnamed else saved.name

    def _consumed(self, row: Row) -> None:
        """A finished task needs its intermediates no longer."""
        if row["reducer"] is not None:
            self.changes.finished_reducers.append(row["id"])
        elif row["own"] and row["size"]:
            self.changes.discard.append(row["blob"])

    def discard_report(self, report: AttemptReport) -> None:
        """Throw away what an attempt that does not count has left."""
        blobs = [output.blob for output in report.outputs if output.blob]
        blobs += [saved.blob for saved in (report.stderr, report.core) if saved]
        self.changes.discard += [blob.id for blob in blobs if blob.size]
