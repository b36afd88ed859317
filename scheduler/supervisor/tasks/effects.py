"""Effects of verdicts: what a transaction writes once every verdict of its batch is final.

Rows of tasks, outputs and input for the next phase, errors, counters; and what the cache and the agents have to learn
afterwards (`Changes`). The intermediates that a finished task has read are released, and those that a task has
recomputed take the place of the lost ones.

Example: a map task of the first of two phases is committed with three outputs. They become three tasks of the next
phase, or three rows of its reducers' input, and the counters move by one finished task and three issued ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.engine import availability
from scheduler.engine.availability import Availability
from scheduler.engine.task import FINAL, Effect, TaskState
from scheduler.model.wire import AttemptReport, BlobRef, OutputRecord, SavedFile, usage_json
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs import error_records
from scheduler.supervisor.jobs.changes import Changes, Revoked
from scheduler.supervisor.jobs.resolve import Problem, resolve
from scheduler.supervisor.jobs.writer import Item, JobWriter
from scheduler.supervisor.tasks import recovery, times
from scheduler.supervisor.tasks.operation_reports import OperationReports, error_of, what_of
from scheduler.supervisor.tasks.verdicts import Verdict


class Effects:
    """The effects of one transaction's verdicts, across jobs.

    `node`: where the attempts ran; `serves`: whether other nodes can fetch from it; `clock_us`: the agent's clock.
    """

    def __init__(
        self,
        c: Connection,
        changes: Changes,
        operations: OperationReports,
        now: int,
        node: str | None,
        serves: bool,
        clock_us: int,
    ) -> None:
        self._c = c
        self._changes = changes
        self._operations = operations
        self._now = now
        self._node = node
        self._serves = serves
        self._clock_us = clock_us
        self._writers: dict[int, JobWriter] = {}

    def write(self, verdicts: Sequence[Verdict]) -> dict[int, str]:
        """Write verdicts. Returns the tasks that must fail, for what they read cannot be recomputed, and why."""
        self._c.many("update_task", [self._task_row(verdict) for verdict in verdicts])
        for verdict in verdicts:  # while a database server updates the tasks
            self._carry_out(verdict)
        hopeless: dict[int, str] = {}
        for verdict in verdicts:
            if verdict.result.effects & {Effect.REMADE, Effect.UNMADE}:
                hopeless |= self._restore(verdict)
        return hopeless

    def writer(self, live: LiveJob) -> JobWriter:
        """The writer of a job's rows, which the transaction closes at its end."""
        if live.id not in self._writers:
            self._writers[live.id] = JobWriter(self._c, live, self._changes, self._now)
        return self._writers[live.id]

    def close(self) -> None:
        """Write the rows and counters of all jobs, as collected."""
        for writer in self._writers.values():
            writer.close()

    def _carry_out(self, verdict: Verdict) -> None:
        row, report, effects = verdict.row, verdict.report, verdict.result.effects
        writer = self.writer(verdict.live)
        self._count(verdict)
        if verdict.staged:
            keeps = self._serves and not verdict.live.makes_objects(verdict.phase)
            self._operations.carry_out(writer, verdict, self._node if keeps else None)
        elif report and Effect.COMMIT in effects:
            self._forward(writer, verdict, report)
        if report and Effect.DISCARD in effects:
            self._changes.refuse(report)
        if Effect.RETRIED in effects:
            writer.retried()
        again = verdict.before.again
        if (verdict.result.error and not again) or (verdict.staged and verdict.failed):
            self._fail(writer, verdict)
        if verdict.result.task.state in FINAL:
            writer.finished(row["pool"], report.usage if report and not again else None)
            self._consumed(verdict)

    def _count(self, verdict: Verdict) -> None:
        """Record what the cache has to learn."""
        row, before, after = verdict.row, verdict.before.state, verdict.result.task.state
        if verdict.revoked:
            self._changes.revoked.append(Revoked(row["agent"], row["pool"], row["id"], row["attempt"]))
        else:
            self._changes.left[row["pool"]] += before is TaskState.LEASED
        if change := (after is TaskState.READY) - (before is TaskState.READY):
            self._changes.now_ready(row["pool"], row["node"], change)
        self._changes.outcomes["remade" if Effect.REMADE in verdict.result.effects else after] += 1

    def _task_row(self, verdict: Verdict) -> dict[str, object]:
        row, task, report = verdict.row, verdict.result.task, verdict.report
        measured = usage_json(report.usage) if report and task.state in FINAL else None
        usage = row["usage"] if verdict.before.again else measured
        counted = {"retries": task.retries, "failures": task.failures}
        ended = times.ran(row, report if measured else None, self._node, self._now, self._clock_us)
        ran = row["ran"] if verdict.before.again else ended
        after = int(self._input_after(verdict))  # SQLite looks for an adapter of anything that is not quite an int
        return {"task": row["id"], "state": task.state, **counted, "usage": usage, "availability": after, "ran": ran}

    def _input_after(self, verdict: Verdict) -> Availability:
        """The availability of a map task's input."""
        if verdict.availability is Availability.UNNEEDED or verdict.result.task.state not in FINAL:
            return verdict.availability
        has_producer = verdict.row["producer"] is not None
        return availability.kept(verdict.availability, has_producer, self._may_reopen(verdict))

    def _may_reopen(self, verdict: Verdict) -> bool:
        """Whether an output of the task can be lost."""
        made = verdict.result.task.state is TaskState.COMMITTED and not verdict.last
        return made and (self._serves or verdict.before.again)

    def _forward(self, writer: JobWriter, verdict: Verdict, report: AttemptReport) -> None:
        if verdict.last:
            writer.outputs(output.name for output in report.outputs)
            return
        following, origin = verdict.phase + 1, verdict.row["origin"]
        task: int = verdict.row["id"]
        references = {output.name for output in report.outputs if output.blob is None}
        found = resolve(self._c, writer.live.owner, references)
        for number, output in enumerate(report.outputs):
            blob = output.blob
            if blob is None:
                self._forward_reference(writer, following, output, origin, found[output.name])
                continue
            intermediate = not output.named
            node = self._where(blob) if intermediate else None
            producer = (None, None) if node is None else (task, number)
            item = Item(
                output.name, origin, blob.id, blob.size, blob.md5, intermediate, output.reducer, node, *producer
            )
            writer.forward(following, item)

    def _forward_reference(
        self, writer: JobWriter, phase: int, output: OutputRecord, origin: str | None, found: Entry | Problem
    ) -> None:
        """Forward an object that was emitted by name: what the name stands for now (`found`), or the error."""
        if not isinstance(found, Entry):
            writer.problem(phase, output.name, origin, found)
        else:
            writer.forward(phase, Item.of_entry(found.path, origin, found, output.reducer))

    def _where(self, blob: BlobRef) -> str | None:
        """The node on which an intermediate lies; None if it is in the shared store, or there is no blob."""
        return self._node if self._serves and blob.node is not None and blob.size else None

    def _fail(self, writer: JobWriter, verdict: Verdict) -> None:
        row, report = verdict.row, verdict.report
        code, message = verdict.result.error or error_of(report)
        saved = report if report and Effect.SAVE in verdict.result.effects else None
        record = error_records.record(
            verdict.phase,
            code,
            message,
            row["input"],
            row["origin"],
            taskId=row["uuid"],
            server=self._node,
            machine=report.instance if report else None,
            stderr=_saved_name(verdict, saved.stderr) if saved else None,
            core=_saved_name(verdict, saved.core) if saved else None,
            **what_of(verdict),
        )
        writer.error(record, row["origin"])

    def _consumed(self, verdict: Verdict) -> None:
        """Release the intermediates of a finished task."""
        row = verdict.row
        if verdict.staged:
            return  # it owns nothing; the ranges that it has read go with the job
        if row["reducer"] is not None:
            kept = self._may_reopen(verdict)
            (self._changes.consumed_reducers if kept else self._changes.finished_reducers).append(row["id"])
            if self._serves or verdict.before.again:
                self._c.run("consumer_ended_inputs", task=row["id"])
        elif (
            row["availability"] == Availability.HERE
            and row["size"]
            and self._input_after(verdict) is Availability.UNNEEDED
        ):
            self._changes.throw(row["node"], row["blob"])

    def _restore(self, verdict: Verdict) -> dict[int, str]:
        """Put what a task has recomputed in its place. Returns the tasks that must fail, and why."""
        outputs: list[recovery.Recomputed | None] = []
        if verdict.report and Effect.REMADE in verdict.result.effects:
            for output in verdict.report.outputs:
                made = recovery.Recomputed(self._where(output.blob), output.blob) if output.blob else None
                if made and output.named:
                    self._changes.throw(made.node, made.blob.id)  # the object has had its name since the first time
                outputs.append(None if output.named else made)
        hopeless = recovery.restore(self._c, verdict.live, self._changes, verdict.row["id"], outputs)
        why = verdict.result.error[1] if verdict.result.error else "the second time there was no such output"
        message = 'intermediate object "{}" was lost and could not be made again: {}'
        return {task: message.format(name, why) for task, name in hopeless.items()}


def _saved_name(verdict: Verdict, saved: SavedFile | None) -> str | None:
    return None if saved is None or saved.name in verdict.unnamed else saved.name
