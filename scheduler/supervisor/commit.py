"""A batch of reports becomes outputs, next tasks, errors, and counters, in one transaction.

Each report is judged by `engine.task.step` against the task's row. Attempts are numbered by
leases, so only the agent that holds the lease can name the number that counts, and a batch
may be handed in twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scheduler.engine.task import FINAL, Effect, Event, Lost, Reported, Step, Task, TaskState, step
from scheduler.model.wire import AttemptReport, OutputRecord, SavedFile, Usage
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


def commit_reports(c: Connection, find_job: FindJob, reports: Sequence[AttemptReport], now: int) -> Changes:
    """Commit, fail or retry the reported attempts. `find_job` gives the live job of a pool."""
    batch = _Batch(c, find_job, now)
    for report in reports:
        row = c.one("task_for_report", task=report.task)
        if row is None:
            batch.discard_report(report)
            continue
        batch.apply(row, Reported(report.attempt, report.outcome, report.code, report.message), report)
    return batch.close()


def lose_attempts(c: Connection, find_job: FindJob, rows: Sequence[Row], now: int) -> Changes:
    """The agent that held these tasks is gone: retry them, or fail those that were retried enough."""
    batch = _Batch(c, find_job, now)
    for row in rows:
        batch.apply(row, Lost(), None)
    return batch.close()


@dataclass(slots=True)
class _Reference:
    """An output by name, to be looked up with all others of the batch."""

    book: JobBook
    phase: int
    output: OutputRecord
    origin: str | None


class _Batch:
    """Reports of one transaction, across jobs."""

    def __init__(self, c: Connection, find_job: FindJob, now: int) -> None:
        self.c = c
        self.now = now
        self.changes = Changes()
        self._find_job = find_job
        self._books: dict[int, JobBook] = {}
        self._objects: list[NewObject] = []
        self._rows: list[dict[str, object]] = []

    def apply(self, row: Row, event: Event, report: AttemptReport | None) -> None:
        live = self._find_job(row["pool"])
        before = Task(TaskState(row["state"]), row["attempt"], row["retries"])
        result = step(before, event)
        if result.task == before or live is None:
            if report and Effect.DISCARD in result.effects:
                self.discard_report(report)
            return
        self._write_task(row, result, report.usage if report else None)
        book = self._book(live)
        if report and Effect.COMMIT in result.effects:
            self._forward(book, row, report)
        if report and Effect.DISCARD in result.effects:
            self.discard_report(report)
        if Effect.RETRIED in result.effects:
            book.retried()
        if result.error:
            self._fail(book, row, result, report)
        if result.task.state in FINAL:
            book.finished(row["pool"], report.usage if report else None)
            self._consumed(row)

    def close(self) -> Changes:
        self.c.many("update_task", self._rows)
        placed = namespace.put_objects(self.c, self._objects, self.now)
        self.changes.discard += placed.discard
        self.changes.discard += [new.etag for new, _ in placed.refused if new.size]
        for book in self._books.values():
            book.close()
        return self.changes

    def _book(self, live: LiveJob) -> JobBook:
        if live.id not in self._books:
            self._books[live.id] = JobBook(self.c, live, self.changes, self.now)
        return self._books[live.id]

    def _write_task(self, row: Row, result: Step, usage: Usage | None) -> None:
        state = result.task.state
        self.changes.left[row["pool"]] += 1
        self.changes.outcomes[state] += 1
        if state is TaskState.READY:
            self.changes.ready[row["pool"]] += 1
        self._rows.append(
            {
                "task": row["id"],
                "state": state,
                "retries": result.task.retries,
                "usage": usage.model_dump_json() if usage else None,
                "own": row["own"] if state is TaskState.READY else 0,
            }
        )

    def _forward(self, book: JobBook, row: Row, report: AttemptReport) -> None:
        phase = book.live.phase_of(row["pool"])
        last = phase + 1 == len(book.live.pools)
        for output in report.outputs:
            if output.blob is None:
                self._forward_reference(book, phase + 1, output, row["origin"])
                continue
            if last or output.named:
                self._save(output.name, output)
            own = not (last or output.named)
            blob = output.blob
            item = Item(output.name, row["origin"], blob.id, blob.size, blob.md5, own, output.reducer)
            book.forward(phase + 1, item)

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

    def _fail(self, book: JobBook, row: Row, result: Step, report: AttemptReport | None) -> None:
        assert result.error is not None
        stderr = core = None
        if report and Effect.SAVE in result.effects:
            for output in report.outputs:
                if output.blob is not None:
                    self._save(output.name, output)
            stderr, core = (self._save_file(saved) for saved in (report.stderr, report.core))
        code, message = result.error
        phase = book.live.phase_of(row["pool"])
        record = errors.record(
            phase, code, message, row["input"], row["origin"], stderr=stderr, core=core, taskId=row["uuid"]
        )
        book.error(record, row["origin"])

    def _save(self, path: str, output: OutputRecord) -> None:
        assert output.blob is not None
        self._objects.append(new_object(path, output.blob, output.headers))

    def _save_file(self, saved: SavedFile | None) -> str | None:
        if saved is None:
            return None
        self._objects.append(new_object(saved.name, saved.blob))
        return saved.name

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
