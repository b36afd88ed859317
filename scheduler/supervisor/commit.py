"""A batch of reports becomes outputs, next tasks, errors, and counters, in one transaction.

Each report is judged by `engine.task.step` against the task's row. It counts only if the agent that
sends it holds the lease of that very attempt, and only if the blobs that it claims are its own to name
(`provenance`). Attempts are numbered by leases, so a batch may be handed in twice. What a report that does
not count has left is for its agent to remove: nothing is ever removed because a report names it.

Objects get their names first, all of a batch together, because that can go wrong: meanwhile
somebody made a directory of that name. Then the attempt has failed, by an error that says so,
and is judged as any other that failed. So whatever is in the list of outputs is there.

What a task of ours leaves for the next phase may lie on its node, and be lost with it: `lineage`
says how it is made again, and does what such a report means for those that wait for it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.engine.availability import Availability, kept
from scheduler.engine.task import (
    FINAL,
    Effect,
    Event,
    InputGone,
    InputLost,
    Lost,
    Reported,
    Step,
    Task,
    TaskState,
    Unplaceable,
    step,
    then,
)
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import AttemptId, AttemptReport, BlobRef, Outcome, OutputRecord, SavedFile
from scheduler.objects import namespace
from scheduler.objects.entries import Entry, NewObject
from scheduler.records.database import Connection, Row
from scheduler.supervisor import errors, lineage
from scheduler.supervisor.book import Item, JobBook
from scheduler.supervisor.changes import Changes, Revoked
from scheduler.supervisor.live import LiveJob
from scheduler.supervisor.outputs import new_object, refusal
from scheduler.supervisor.provenance import Claims, Reporter, blobs_of, objects_of, without_blobs
from scheduler.supervisor.resolve import Problem, resolve

log = logging.getLogger("remora.supervisor")

FindJob = Callable[[int], LiveJob | None]


def commit_reports(
    c: Connection,
    find_job: FindJob,
    reporter: Reporter,
    reports: Sequence[AttemptReport],
    now: int,
    absent: Collection[str] = (),
) -> Changes:
    """Commit, fail or retry the reported attempts of an agent. `find_job` gives the live job of a pool.

    `absent`: blobs that are claimed to be in the shared store, and are not.
    """
    batch = Batch(c, find_job, now, reporter.node, reporter.serves)
    known = c.all("tasks_for_reports", tasks=json.dumps([report.task for report in reports]))
    rows = {row["id"]: row for row in known}
    claims = Claims(c, [blob for report in reports for blob in blobs_of(report)], reporter.keeps, absent)
    for report in reports:
        row = rows.get(report.task)
        if row is None or (row["agent"] != reporter.agent and row["state"] == TaskState.LEASED):
            batch.refuse(report)  # forgotten long ago, or not its lease
        else:
            held = row["agent"] == reporter.agent and row["attempt"] == report.attempt
            batch.judge_report(row, report, claims if held else None)
    return batch.close()


def lose_attempts(
    c: Connection, find_job: FindJob, rows: Sequence[Row], now: int, node: str | None = None, counted: bool = True
) -> Changes:
    """The agent that held these tasks is gone: retry them, or fail those that were retried enough.

    `counted`: it may be their fault.
    """
    batch = Batch(c, find_job, now, node)
    for row in rows:
        batch.judge(row, Lost(counted))
    return batch.close()


def refuse_ready(c: Connection, live: LiveJob, pool: int, message: str, limit: int, now: int) -> Changes:
    """No node will ever have room for tasks of this pool: fail `limit` of those that are ready."""
    batch = Batch(c, lambda _: live, now)
    for row in c.all("ready_of_pool", pool=pool, limit=limit):
        batch.judge(row, Unplaceable(message))
    return batch.close()


def reported(report: AttemptReport, counted: bool = True) -> Reported:
    return Reported(report.attempt, report.outcome, report.code, report.message, counted and not report.evicted)


@dataclass(slots=True)
class _Judged:
    """A task that changes, what changes, and the report that did it.

    `gone`: the input of a map task is; `revoked`: the attempt goes on somewhere, and is not wanted any more.
    """

    live: LiveJob
    row: Row
    before: Task
    result: Step
    report: AttemptReport | None
    phase: int
    gone: bool = False
    revoked: bool = False

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


class Batch:
    """Reports of one transaction, across jobs. `node`: where the attempts were; `serves`: others can fetch from it."""

    def __init__(
        self, c: Connection, find_job: FindJob, now: int, node: str | None = None, serves: bool = False
    ) -> None:
        self.c = c
        self.now = now
        self.node = node
        self.serves = serves
        self.changes = Changes()
        self._find_job = find_job
        self._judged: dict[int, _Judged] = {}  # by task
        self._books: dict[int, JobBook] = {}
        self._rows: list[dict[str, object]] = []
        self._unnamed: dict[str, str] = {}  # why objects could not be named, by path

    def judge_report(self, row: Row, report: AttemptReport, claims: Claims | None) -> None:
        """Say what a report does to a task. `claims` if it is of the attempt that is leased."""
        problem = None
        if claims is not None and row["id"] not in self._judged and (mine := list(blobs_of(report))):
            live = self._find_job(row["pool"])
            last = live is not None and live.phase_of(row["pool"]) + 1 == len(live.pools)
            problem = claims.problem(mine, list(objects_of(report, last)))
        if problem is None:
            self.judge(row, reported(report, counted=not (report.missing or report.evicted)), report)
        else:
            log.warning("a report was not believed", extra={"node": self.node, "task": row["uuid"], "why": problem})
            self.judge(
                row, Reported(report.attempt, Outcome.LOST, JobErrorCode.INTERNAL, problem), without_blobs(report)
            )

    def refuse(self, report: AttemptReport) -> None:
        """It does not count: its agent may remove what the attempt has left."""
        self.changes.refused.append(AttemptId(task=report.task, attempt=report.attempt))

    def judge(self, row: Row, event: Event, report: AttemptReport | None = None) -> None:
        """Say what an event does to a task; `close` does it."""
        live = self._find_job(row["pool"])
        before = Task(TaskState(row["state"]), row["attempt"], row["retries"], row["remakes"] > 0)
        earlier = self._judged.get(row["id"])
        result = step(earlier.result.task if earlier else before, event)
        if earlier or result.task == before or live is None:
            if report and Effect.DISCARD in result.effects:
                self.refuse(report)
            return
        judged = _Judged(live, row, before, result, report, live.phase_of(row["pool"]))
        judged.revoked = before.state is TaskState.LEASED and isinstance(event, InputGone)
        self._judged[row["id"]] = judged
        if before.state is TaskState.LEASED and result.task.state is TaskState.READY:
            self._look_for_input(judged)

    def close(self) -> Changes:
        self._name(self._judged.values())
        if self._unnamed:
            self._name(filter(self._rejudge, self._judged.values()))
        while self._judged:
            self._carry_out_all()
        for book in self._books.values():
            book.close()
        return self.changes

    def _carry_out_all(self) -> None:
        """Do what was judged; what cannot be made again fails those that wait for it, which is judged next."""
        judged, self._judged = list(self._judged.values()), {}
        for each in judged:
            self._carry_out(each)
        self.c.many("update_task", self._rows)
        self._rows.clear()
        hopeless: dict[int, str] = {}
        for each in judged:
            if each.result.effects & {Effect.REMADE, Effect.UNMADE}:
                hopeless |= self._refill(each)
        if hopeless:
            for row in self.c.all("tasks_for_reports", tasks=json.dumps(list(hopeless))):
                self.judge(row, InputGone(hopeless[row["id"]]))

    # Inputs that are gone.

    def _look_for_input(self, judged: _Judged) -> None:
        """An attempt was lost, for want of its input perhaps: if that is gone, it must be made again."""
        row, missing = judged.row, judged.report.missing if judged.report else []
        found = lineage.missed(self.c, row, missing) if missing else lineage.NOTHING_MISSED
        if missing and not found.excused:
            assert judged.report is not None
            judged.result = step(judged.before, reported(judged.report))
        if found.hopeless:
            judged.result = then(judged.result, InputGone(found.hopeless))
        if judged.result.task.state is not TaskState.READY:
            return
        if row["reducer"] is None:
            judged.gone = found.lost or row["own"] == Availability.MAYBE_READ
            judged.result = then(judged.result, InputLost()) if judged.gone else judged.result
        elif self.c.run("attempt_lost_of_task", task=row["id"]) or found.lost:
            self.changes.mend.add(judged.live.id)
        if judged.gone:
            self.changes.mend.add(judged.live.id)

    def _refill(self, judged: _Judged) -> dict[int, str]:
        """A task was made again, or could not be; tasks that must fail for that, and why."""
        outputs: list[lineage.Made | None] = []
        if judged.report and Effect.REMADE in judged.result.effects:
            for output in judged.report.outputs:
                made = lineage.Made(self._where(output.blob), output.blob) if output.blob else None
                if made and output.named:
                    self.changes.throw(made.node, made.blob.id)  # it has its name since the first time
                outputs.append(None if output.named else made)
        hopeless = lineage.refill(self.c, judged.live, self.changes, judged.row["id"], outputs)
        why = judged.result.error[1] if judged.result.error else "the second time there was no such output"
        message = 'intermediate object "{}" was lost and could not be made again: {}'
        return {task: message.format(name, why) for task, name in hopeless.items()}

    def _where(self, blob: BlobRef) -> str | None:
        """The node on which an intermediate lies; None if it is in the shared store, or nothing."""
        return self.node if self.serves and blob.node is not None and blob.size else None

    # Names.

    def _name(self, all_judged: Iterable[_Judged]) -> None:
        """Give objects their names, and remember which could not have theirs."""
        objects = []
        for judged in all_judged:
            for new in judged.objects():
                if problem := refusal(judged.live.owner, new.path):
                    self._refuse(new, problem.message)
                elif new.path not in self._unnamed:
                    objects.append(new)
        placed = namespace.put_objects(self.c, objects, self.now, by_service=True)
        self.changes.discard += placed.discard
        for new, why in placed.refused:
            self._refuse(new, why.message)

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
            self.refuse(report)
        if Effect.RETRIED in effects:
            book.retried()
        again = judged.before.again
        if judged.result.error and not again:
            self._fail(book, judged)
        if judged.result.task.state in FINAL:
            book.finished(row["pool"], report.usage if report and not again else None)
            self._consumed(judged)

    def _book(self, live: LiveJob) -> JobBook:
        if live.id not in self._books:
            self._books[live.id] = JobBook(self.c, live, self.changes, self.now)
        return self._books[live.id]

    def _write_task(self, judged: _Judged) -> None:
        row, task, report = judged.row, judged.result.task, judged.report
        over = task.state in FINAL
        if judged.revoked:
            self.changes.revoked.append(Revoked(row["agent"], row["pool"], row["id"], row["attempt"]))
        else:
            self.changes.left[row["pool"]] += judged.before.state is TaskState.LEASED
        if change := (task.state is TaskState.READY) - (judged.before.state is TaskState.READY):
            self.changes.now_ready(row["pool"], row["node"], change)
        self.changes.outcomes["remade" if Effect.REMADE in judged.result.effects else task.state] += 1
        usage = row["usage"] if judged.before.again else report.usage.model_dump_json() if report and over else None
        own = self._own(judged) if over else Availability.LOST if judged.gone else row["own"]
        self._rows.append({"task": row["id"], "state": task.state, "retries": task.retries, "usage": usage, "own": own})

    def _own(self, judged: _Judged) -> int:
        """Whether a finished map task's input is kept: if it may be needed again, and nobody can make it again."""
        row = judged.row
        return kept(Availability(row["own"]), row["maker"] is not None, self._may_be_made_again(judged))

    def _may_be_made_again(self, judged: _Judged) -> bool:
        """Whether what the task made can be lost."""
        made = judged.result.task.state is TaskState.COMMITTED and not judged.last
        return made and (self.serves or judged.before.again)

    def _forward(self, book: JobBook, judged: _Judged, report: AttemptReport) -> None:
        following, origin = judged.phase + 1, judged.row["origin"]
        task: int = judged.row["id"]
        references = {output.name for output in report.outputs if output.blob is None}
        last = following == len(book.live.pools)
        found = {} if last else resolve(self.c, book.live.owner, references)
        for number, output in enumerate(report.outputs):
            blob = output.blob
            if blob is None:
                self._forward_reference(book, following, output, origin, found.get(output.name))
                continue
            own = not (judged.last or output.named)
            node = self._where(blob) if own else None
            maker = (None, None) if node is None else (task, number)
            item = Item(output.name, origin, blob.id, blob.size, blob.md5, own, output.reducer, node, *maker)
            book.forward(following, item)

    def _forward_reference(
        self, book: JobBook, phase: int, output: OutputRecord, origin: str | None, found: Entry | Problem | None
    ) -> None:
        """An object emitted by name is what the name stands for now (`found`), with the errors of the phase that it
        reaches; beyond the last one it is a name."""
        if found is None:
            book.forward(phase, Item(output.name, origin, "", 0))
        elif isinstance(found, tuple):
            book.problem(phase, output.name, origin, found)
        else:
            book.forward(phase, Item.of_entry(found.path, origin, found, output.reducer))

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

    def _consumed(self, judged: _Judged) -> None:
        """A finished task needs its intermediates no longer."""
        row = judged.row
        if row["reducer"] is not None:
            kept = self._may_be_made_again(judged)
            (self.changes.consumed_reducers if kept else self.changes.finished_reducers).append(row["id"])
            if self.serves or judged.before.again:
                self.c.run("consumer_ended_inputs", task=row["id"])
        elif row["own"] == Availability.HERE and row["size"] and not self._own(judged):
            self.changes.throw(row["node"], row["blob"])
