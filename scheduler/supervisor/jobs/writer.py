"""Job writer: the rows of one job that one transaction writes, collected and then written at once.

A transaction that changes a job opens a `JobWriter`, says what happened (`add_input`, `forward`, `fail`, `finished`),
and closes it. Closing writes rows by the hundred, moves each counter once, and asks `engine.job.advance` what follows
until nothing does.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scheduler.common.ids import new_id
from scheduler.engine import job as engine
from scheduler.engine.availability import Availability
from scheduler.engine.operations import status
from scheduler.engine.operations.status import Event, Status
from scheduler.engine.route import no_such_reducer, reducer_for
from scheduler.engine.task import InputArrived, Task, TaskState, step
from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import Usage
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection, Row
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, counters, reopened_pools, stages, standing_of
from scheduler.supervisor.jobs import error_records
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.resolve import Problem
from scheduler.supervisor.jobs.usage import summed


class Item(NamedTuple):
    """An object that enters a phase. `intermediate`: it is deleted once it is consumed.

    One that lies on a `node` can be lost with it, and is then recomputed as output number `producer_output` of the
    task `producer`.
    """

    name: str
    origin: str | None
    blob: str
    size: int
    md5: str | None = None
    intermediate: bool = False
    reducer: int | None = None
    node: str | None = None
    producer: int | None = None
    producer_output: int | None = None

    @classmethod
    def of_entry(cls, name: str, origin: str | None, entry: Entry, reducer: int | None = None) -> Item:
        assert entry.etag is not None and entry.size is not None
        return cls(name, origin, entry.etag, entry.size, entry.md5, False, reducer)

    @property
    def columns(self) -> dict[str, object]:
        """The columns about the item in its consumer's row."""
        return {
            "origin": self.origin,
            "blob": self.blob,
            "size": self.size,
            "availability": int(Availability.HERE if self.intermediate else Availability.UNNEEDED),
            "node": self.node,
            "producer": self.producer,
            "producer_output": self.producer_output,
        }


class _Reducer:
    """A reduce task that this transaction gives inputs, `items`."""

    def __init__(self, row: Row, items: Sequence[Item]) -> None:
        self.task: int = row["id"]
        self.state = TaskState(row["state"])
        self.node: str | None = row["node"]
        self.before = self.arrived = row["arrived"]
        self.items = items
        self.located = any(item.node is not None for item in items)

    @property
    def is_open(self) -> bool:
        """Whether it takes inputs: later inputs of a failed reducer are dropped."""
        return self.state in (TaskState.WAITING, TaskState.READY, TaskState.LEASED)

    def take(self) -> list[dict[str, Any]]:
        """The rows of its new inputs, which have arrived from now on."""
        first, self.arrived = self.arrived + 1, self.arrived + len(self.items)
        return [
            {"task": self.task, "seq": seq, "name": item.name} | item.columns
            for seq, item in enumerate(self.items, first)
        ]

    def settles(self) -> bool:
        """Whether to look up now where most of its input lies: at first, and whenever the input has doubled.

        So all look-ups together read each input twice.
        """
        waits = self.state in (TaskState.WAITING, TaskState.READY)
        return self.located and waits and self.arrived.bit_length() > self.before.bit_length()


class JobWriter:
    """The writer of one job during one transaction. `now` is in ms; `draw` gives random numbers in [0, 1).

    The job's record is read once, when the writer opens: `row`. Only the writer changes the job's counters meanwhile.
    """

    def __init__(self, c: Connection, live: LiveJob, changes: Changes, now: int, draw: Any = random.random) -> None:
        self.c = c
        self.live = live
        self.changes = changes
        self.now = now
        self._draw = draw
        row = c.one("job_by_id", job=live.id)
        assert row is not None, f"job {live.uuid} is live but has no record"
        self.row = row
        self._dispatched: int = row["dispatched"]
        self._done: bool = row["state"] == "done"
        self.status = None if row["status"] is None else Status(row["status"])  # of an operation
        self._counts: dict[str, Counter[int]] = {name: Counter() for name in ("issued", "finished", "reopened")}
        self._tasks: list[dict[str, Any]] = []
        self._unsuccessful: dict[int, Counter[str]] = defaultdict(Counter)
        self._outputs: list[str] = []
        self._errors: list[tuple[str, str | None]] = []
        self._retries = 0
        self._usages: defaultdict[int, list[Usage]] = defaultdict(list)
        self._routed: defaultdict[int, defaultdict[int, list[Item]]] = defaultdict(lambda: defaultdict(list))

    @staticmethod
    def ask_ahead(c: Connection, live: LiveJob) -> None:
        """Ask for the records of a pipeline for which a writer will be opened; meanwhile nothing changes them."""
        c.ahead("job_by_id", job=live.id)
        c.ahead("phases_of_job", job=live.id)

    @property
    def running(self) -> bool:
        return self.row["state"] == "running" and not self.row["cancelled"]

    # Events.

    def happened(self, event: Event) -> None:
        """Record an event of the operation."""
        assert self.status is not None
        self.status = status.step(self.status, event)

    @property
    def stage(self) -> int | None:
        """The stage of the operation whose tasks are made now, if there is one."""
        return status.unplanned(stages(self.c.all("phases_of_job", job=self.live.id)))

    def planned(self, pool: int, tasks: int, ready: int) -> None:
        """Count tasks of a stage that were made, and those of them, or made before, that may run now."""
        self._counts["issued"][pool] += tasks
        self.changes.now_ready(pool, None, ready)

    def unsuccessful(self, pool: int, what: str) -> None:
        """Count an attempt of an operation that `failed`, was `aborted`, or came to nothing `unscheduled`."""
        self._unsuccessful[pool][what] += 1

    def dispatched(self, count: int) -> None:
        """Count inputs of the job as dispatched."""
        self.c.change("count_dispatched", job=self.live.id, count=count)
        self._dispatched += count

    def outputs(self, names: Iterable[str]) -> None:
        """Add outputs of the job: of what its last phase leaves, only the names."""
        self._outputs.extend(names)

    def forward(self, phase: int, item: Item) -> None:
        """Add an object to a phase."""
        if self.live.spec.phases[phase].reduce:
            self._route(phase, item)
        else:
            self._issue(phase, item)

    def problem(self, phase: int, given: str, origin: str | None, problem: Problem) -> None:
        """Record that an input of a phase did not become a task."""
        code, message = problem
        self.error(error_records.record(phase, code, message, given, origin), origin)

    def error(self, record: str, origin: str | None) -> None:
        self._errors.append((record, origin))
        self.changes.outcomes["error"] += 1

    def retried(self) -> None:
        self._retries += 1

    def reopened(self, pool: int) -> None:
        """Count a finished task of a pool as open again: its outputs are recomputed."""
        self._counts["reopened"][pool] += 1

    def finished(self, pool: int, usage: Usage | None) -> None:
        """Count a task of a pool as finished. `usage` is what it used, if that was measured."""
        self._counts["finished"][pool] += 1
        if usage is not None:
            self._usages[pool].append(usage)

    def _issue(self, phase: int, item: Item) -> None:
        pool = self.live.pools[phase]
        self._counts["issued"][pool] += 1
        self.changes.now_ready(pool, item.node)
        identity = {"uuid": new_id(), "pool": pool, "input": item.name, "md5": item.md5}
        self._tasks.append(identity | item.columns | {"now": self.now})

    def _route(self, phase: int, item: Item) -> None:
        reducers = self.live.spec.phases[phase].reducers
        chosen = reducer_for(item.reducer, reducers, self._draw())
        if chosen is None:
            assert item.reducer is not None
            message = no_such_reducer(item.reducer, reducers)
            self.problem(phase, item.name, item.origin, (JobErrorCode.INVALID_ARGUMENT, message))
            self._drop(item)
        else:
            self._routed[phase][chosen].append(item)

    def _drop(self, item: Item) -> None:
        if item.intermediate and item.size:
            self.changes.throw(item.node, item.blob)

    # Writing.

    def close(self) -> None:
        """Write all rows and counters, then do what follows from them."""
        before = None if self.status is not None else self.c.all("phases_of_job", job=self.live.id)
        self._write_tasks()
        self._write_results()
        for name, counter in self._counts.items():
            for pool, count in counter.items():
                self.c.change(f"count_{name}", pool=pool, count=count)
        for pool, counts in self._unsuccessful.items():
            ended = {what: counts[what] for what in ("failed", "aborted", "unscheduled")}
            self.c.change("count_attempts", pool=pool, **ended)
            self.c.change("count_failed", job=self.live.id, failed=counts["failed"])
        for pool, usages in self._usages.items():
            self.c.change("count_usage", pool=pool, **summed(usages))
        self.changes.changed_jobs.add(self.live.id)
        self.c.announce(announcements.news(self.live.id))
        if before is None:
            self._settle()
            return
        phases = self._moved(before)
        while self._advance(phases):
            phases = self.c.all("phases_of_job", job=self.live.id)

    def _moved(self, phases: Sequence[Row]) -> list[Any]:
        """Rows of phases with the counters that this transaction has given them, which are not waited for."""
        issued, finished, reopened = (self._counts[name] for name in ("issued", "finished", "reopened"))
        return [
            dict(zip(row.keys(), row, strict=True))
            | {
                "issued": row["issued"] + issued[row["id"]],
                "finished": row["finished"] + finished[row["id"]] - reopened[row["id"]],
            }
            for row in phases
        ]

    def _settle(self) -> None:
        """Record where the operation stands; it moves by itself when all its stages are over, and at its end."""
        phases = self.c.all("phases_of_job", job=self.live.id)
        if self.status is Status.RUNNING:
            for phase, stage in zip(phases, stages(phases), strict=True):
                if phase["shared"] is not None and stage.over:
                    self._release_shared(phase)
            if status.are_over(stages(phases)):
                self.happened(Event.STAGES_OVER)
        if self.status != self.row["status"]:
            self.c.run("set_status", job=self.live.id, status=self.status)
        standing = standing_of(self.status, phases)
        assert standing is not None
        self.changes.standings[self.live.id] = standing
        self._reopened(phases)
        if standing.status in status.FINAL and not self._done:
            self._finish()

    def _release_shared(self, phase: Row) -> None:
        """Release the inputs that the tasks of a stage have shared: none of them needs these any more."""
        self.c.run("share_inputs", pool=phase["id"], task=None)
        self.c.run("cancel_waiting", pool=phase["id"])  # what held them, since no reader waits
        self.c.run("consumer_ended_inputs", task=phase["shared"])
        self.changes.finished_reducers.append(phase["shared"])

    def _write_tasks(self) -> None:
        self.c.many("insert_map_task", self._tasks)
        for phase, routed in self._routed.items():
            self._feed(self.live.pools[phase], routed)

    def _feed(self, pool: int, routed: Mapping[int, Sequence[Item]]) -> None:
        """Write the inputs of a phase's reducers. Only reducers that get some are read."""
        rows = self.c.all("reduce_tasks_of", pool=pool, reducers=json.dumps(sorted(routed)))
        reducers = [_Reducer(row, routed[row["reducer"]]) for row in rows]
        for closed in reducers:
            if not closed.is_open:
                for item in closed.items:
                    self._drop(item)
        taking = [reducer for reducer in reducers if reducer.is_open]
        self.c.many("insert_task_input", [row for reducer in taking for row in reducer.take()])
        for reducer in taking:
            self._arrived(pool, reducer)

    def _arrived(self, pool: int, reducer: _Reducer) -> None:
        state = step(Task(reducer.state), InputArrived()).task.state
        if reducer.state is TaskState.READY:
            self.changes.now_ready(pool, reducer.node, -1)
        if reducer.settles():
            self._place(reducer)
        if state is TaskState.READY:
            self.changes.now_ready(pool, reducer.node)
        self.c.run("inputs_arrived", task=reducer.task, arrived=reducer.arrived, now=self.now)

    def _place(self, reducer: _Reducer) -> None:
        """Assign a waiting reduce task to the node where most of its input lies so far."""
        found = self.c.all("input_by_node", task=reducer.task)
        node = max(found, key=lambda row: (row["size"], row["node"]))["node"]
        if node != reducer.node:
            self.c.run("place_reducer", task=reducer.task, node=node)
            reducer.node = node

    def _write_results(self) -> None:
        if not (self._outputs or self._errors or self._retries):
            return
        job = self.live.id
        outputs = enumerate(self._outputs, self.row["outputs"] + 1)
        self.c.many("insert_output", [{"job": job, "seq": seq, "name": name} for seq, name in outputs])
        failed = enumerate(self._errors, self.row["errors"] + 1)
        self.c.many(
            "insert_error",
            [{"job": job, "seq": seq, "record": record, "origin": origin} for seq, (record, origin) in failed],
        )
        self.c.change(
            "count_results", job=job, outputs=len(self._outputs), errors=len(self._errors), retries=self._retries
        )

    def _advance(self, phases: Sequence[Row]) -> bool:
        """Do what follows from the counters. Returns whether more may follow."""
        if self._done:
            return False
        counted = counters(phases)
        self._reopened(phases)
        decisions = engine.advance(
            engine.Job(
                bool(self.row["input_done"]),
                self.row["inputs"],
                self._dispatched,
                counted,
                bool(self.row["cancelled"]),
            )
        )
        for decision in decisions:
            self._carry_out(decision)
        return bool(decisions)

    def _reopened(self, phases: Sequence[Row]) -> None:
        """Tell the cache which pools wait for input that is being recomputed."""
        reopened = reopened_pools(phases)
        if reopened or self.live.reopened:
            self.changes.reopened[self.live.id] = reopened

    def _carry_out(self, decision: engine.Decision) -> None:
        if isinstance(decision, engine.EndInput):
            pool = self.live.pools[decision.phase]
            self.c.run("end_phase_input", pool=pool)
            self.changes.ready[pool] += self.c.run("inputs_ended", pool=pool, now=self.now)
            self.changes.ended_pools.add(pool)
        else:
            self._finish()

    def _finish(self) -> None:
        self.c.run("finish_job", job=self.live.id, now=self.now)
        self._done = True
        self.changes.done_jobs.add(self.live.id)
