"""Recovery by lineage: intermediates that were lost with their node are recomputed by the tasks that made them.

One idea: *a lost input is recorded in its consumer's row, until its one producer has replaced it.*
`engine.availability` says where an input stands, and what an event does to that. This module has the transactions in
which the events happen:

    a node is lost ──▶ lose_page: what was HERE is LOST (or MAYBE_READ)
    an input is LOST ──▶ recover_page: the producer goes back from committed to ready, LOST → RECOMPUTING;
                         what the producer itself had consumed is LOST, and so on, back to the job's inputs
    the producer commits ──▶ restore: by position among its outputs, RECOMPUTING → HERE

Each arrow is a transaction, or many of one page each, and all that remains to be done is in the rows: a supervisor that
dies in between leaves LOST rows, and the next owner of the job continues. A producer that is a reduce task goes back
once all pages of its input are marked.

A map task waits while its input is lost. A reduce task need not: it is fed up to the gap, in order, and has a place of
its own meanwhile (`LiveJob.may_block`). Counters end as if no node had been lost: a producer that goes back is not
finished, when it commits again it is, and its outputs, usage, named objects and errors count from the first time.

Producers must make the same outputs again: outputs are matched by their position. If there is none at that position any
more, the consumer fails, by an InternalError that says so. It fails in the same way when a producer's output was missed
for the sixth time, although its node lives.

Example: map → reduce → map on nodes a and b. Node a dies with 3 outputs of the reducer unread, whose 900 inputs have
long been consumed: 3 map tasks wait, the reducer is ready again, 900 of its inputs are LOST and so 900 first map tasks
are ready, on b. The reducer starts at once and reads as they finish.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scheduler.engine import availability
from scheduler.engine.availability import Availability, Event, node_lost
from scheduler.engine.task import InputArrived, InputLost, Remake, Task, TaskState, step, then
from scheduler.model.wire import BlobRef
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations.shuffling import holder_of
from scheduler.supervisor.tasks.verdicts import task_of

PAGE = 500
# The number of times that a producer's output may be missed before its consumer fails.
MAX_MISSES = 5


@dataclass(frozen=True, slots=True)
class Missed:
    """The consequence for an attempt that could not get an input.

    `excused`: it costs no retry; `lost`: the input is lost.
    """

    excused: bool = True
    lost: bool = False
    hopeless: str | None = None


NOTHING_MISSED = Missed()


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A recomputed output, and the node it lies on."""

    node: str | None
    blob: BlobRef


# A node is lost.


def lose_page(c: Connection, live: LiveJob, node: str, given: Mapping[int, int], limit: int) -> tuple[Changes, bool]:
    """Mark a page of a job's intermediates on a lost node. Returns the changes, and whether there is more.

    `given`: how far each reduce task that runs elsewhere was fed, by task.
    """
    changes = Changes()
    more = False
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        lose = _lose_inputs if phase.fed else _lose_tasks
        lost, full = lose(c, changes, pool, node, given, limit)
        more = more or full
        if lost:
            changes.recover.add(live.id)
    return changes, more


def _lose_tasks(
    c: Connection, changes: Changes, pool: int, node: str, given: Mapping[int, int], limit: int
) -> tuple[bool, bool]:
    """Mark a page of the inputs of map tasks that only this node had. Returns (any is LOST, there may be more)."""
    lost = False
    rows = c.all("tasks_at", pool=pool, node=node, limit=limit)
    for row in rows:
        before = TaskState(row["state"])
        after = availability.step(Availability.HERE, node_lost(before, read=True))
        state = step(Task(before), InputLost()).task.state
        if state is not before:
            changes.now_ready(pool, node, -1)
        lost = lost or after is Availability.LOST
        c.run("set_availability", task=row["id"], availability=after, state=state)
    return lost, len(rows) >= limit


def _lose_inputs(
    c: Connection, changes: Changes, pool: int, node: str, given: Mapping[int, int], limit: int
) -> tuple[bool, bool]:
    """Mark a page of the inputs of reduce tasks that only this node had. Returns (any is LOST, there may be more)."""
    lost = False
    changes.located[pool, node] -= c.run("leave_ready", pool=pool, node=node)
    c.run("leave_node", pool=pool, node=node)
    rows = c.all("task_inputs_at", pool=pool, node=node, limit=limit)
    for row in rows:
        event = node_lost(TaskState(row["state"]), read=row["seq"] <= given.get(row["task"], 0))
        after = availability.step(Availability.HERE, event)
        lost = lost or after is Availability.LOST
        c.run("set_input_availability", task=row["task"], seq=row["seq"], availability=after)
    return lost, len(rows) >= limit


def missed(c: Connection, row: Row, missing: Sequence[str]) -> Missed:
    """Handle the report of an attempt at the task of `row` that could not get these intermediates: they are lost."""
    if row["reducer"] is None:
        return _miss(c, row, row["input"]) if row["blob"] in missing else NOTHING_MISSED
    found, fed = NOTHING_MISSED, holder_of(c, row)
    for each in c.all("inputs_by_blob", task=fed, blobs=json.dumps(list(missing))):
        this = _miss(c, each, each["name"])
        if this.lost:
            c.run("set_input_availability", task=fed, seq=each["seq"], availability=Availability.LOST)
        found = Missed(found.excused and this.excused, found.lost or this.lost, found.hopeless or this.hopeless)
    return found


def _miss(c: Connection, row: Row, name: str) -> Missed:
    """The consequence of a missing input: none, if its loss is known already, or it is available again."""
    before = Availability(row["availability"])
    if availability.step(before, Event.MISSED) is before:
        return NOTHING_MISSED
    if row["producer"] is None:
        return Missed(excused=False)
    producer = c.one("miss_producer", task=row["producer"])
    if producer is None or producer["missed"] > MAX_MISSES:
        return Missed(hopeless=f'intermediate object "{name}" could not be fetched, again and again')
    return Missed(lost=True)


# Producers go back.


def recover_page(c: Connection, live: LiveJob, now: int, limit: int) -> tuple[Changes, bool]:
    """Reopen the producers of a page of lost inputs. Returns the changes, and whether there may be more."""
    changes = Changes()
    writer = JobWriter(c, live, changes, now)
    if not writer.running:
        return changes, False
    recovery = _Recovery(c, writer, changes, limit)
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        if phase.fed:
            recovery.lost_inputs(pool)
        else:
            recovery.lost_tasks(pool)
    if recovery.idle:
        return changes, False
    recovery.reopen_producers()
    writer.close()
    return changes, True


class _Recovery:
    """One page of recovery: it collects lost inputs, reopens their producers, and records what became of each input."""

    def __init__(self, c: Connection, writer: JobWriter, changes: Changes, limit: int) -> None:
        self._c = c
        self._writer = writer
        self._changes = changes
        self._limit = limit
        self._tasks: list[Row] = []
        self._inputs: list[Row] = []

    @property
    def idle(self) -> bool:
        return not (self._tasks or self._inputs)

    def lost_tasks(self, pool: int) -> None:
        """Collect lost inputs of map tasks; those of attempts that may have read them are lost by now."""
        lost = availability.step(Availability.MAYBE_READ, Event.ATTEMPT_LOST)
        waiting = step(Task(TaskState.READY), InputLost()).task.state
        for row in self._c.all("maybe_read_tasks", pool=pool, limit=self._limit):
            self._changes.now_ready(pool, row["node"], -1)
            self._c.run("set_availability", task=row["id"], availability=lost, state=waiting)
        self._tasks += self._c.all("lost_tasks", pool=pool, limit=self._limit)

    def lost_inputs(self, pool: int) -> None:
        self._c.run("attempt_lost_of_pool", pool=pool)
        self._inputs += self._c.all("lost_inputs", pool=pool, limit=self._limit)

    def reopen_producers(self) -> None:
        """Reopen the producers of the collected inputs, and record which inputs are being recomputed."""
        needed = [row["producer"] for row in (*self._tasks, *self._inputs) if not _unneeded(row)]
        known = self._c.all("tasks_for_reports", tasks=json.dumps(sorted(set(needed))))
        told = {row["id"] for row in known if self._reopen(row)}
        for row in self._tasks:
            if event := _settled(row, told):
                after = availability.step(Availability.LOST, event)
                self._c.run("set_availability", task=row["id"], availability=after, state=row["state"])
        for row in self._inputs:
            if event := _settled(row, told):
                after = availability.step(Availability.LOST, event)
                self._c.run("set_input_availability", task=row["task"], seq=row["seq"], availability=after)

    def _reopen(self, producer: Row) -> bool:
        """Reopen a producer. Returns False if that takes another page."""
        before = task_of(producer)
        result = step(before, Remake())
        if result.task == before:
            return True  # it is about to run, or its job is cancelled
        has = Availability(producer["availability"])
        if producer["reducer"] is not None:
            if self._c.run("consumer_reopened_inputs", task=producer["id"], limit=self._limit) >= self._limit:
                return False
        elif producer["producer"] is not None:
            has = availability.step(has, Event.CONSUMER_REOPENED)
            result = then(result, InputLost()) if has.is_awaited else result
        self._c.run("remake_task", task=producer["id"], state=result.task.state, availability=has)
        self._writer.reopened(producer["pool"])
        if result.task.state is TaskState.READY:
            self._changes.now_ready(producer["pool"], producer["node"])
        return True


def _settled(row: Row, told: Collection[int]) -> Event | None:
    """The event of a lost input, if any by now. `told`: producers that are open again."""
    if _unneeded(row):
        return Event.CONSUMER_ENDED
    return Event.PRODUCER_REOPENED if row["producer"] in told else None


def _unneeded(row: Row) -> bool:
    """Whether a lost input is not needed.

    A committed reduce task needs some of its inputs when it is about to go back.
    """
    return row["state"] in (TaskState.FAILED, TaskState.CANCELLED)


# A producer is done.


def restore(
    c: Connection, live: LiveJob, changes: Changes, producer: int, outputs: Sequence[Recomputed | None]
) -> dict[int, str]:
    """Put recomputed outputs in the place of lost ones.

    Returns the tasks whose input is still lost, with the input's name.
    """
    used: set[int] = set()
    hopeless: dict[int, str] = {}
    for row in c.all("tasks_made_for", task=producer):
        if recomputed := _replacement(row, outputs):
            _restore_task(c, changes, row, recomputed)
            used.add(row["producer_output"])
        elif _still_lost(row):
            hopeless[row["id"]] = row["input"]
    for row in c.all("inputs_made_for", task=producer):
        key = {"task": row["task"], "seq": row["seq"]}
        if recomputed := _replacement(row, outputs):
            c.run("recomputed_input", **key, blob=recomputed.blob.id, size=recomputed.blob.size, node=recomputed.node)
            used.add(row["producer_output"])
        # it is about to go back, and will need the input then
        elif _still_lost(row) and row["state"] == TaskState.COMMITTED:
            c.run("set_input_availability", **key, availability=_after(row, Event.NOT_RECOMPUTED))
            changes.recover.add(live.id)
        elif _still_lost(row):
            hopeless[row["task"]] = row["name"]
    for number, unused in enumerate(outputs):
        if unused is not None and unused.blob.size and number not in used:
            changes.throw(unused.node, unused.blob.id)
    return hopeless


def _restore_task(c: Connection, changes: Changes, row: Row, recomputed: Recomputed) -> None:
    before, blob = TaskState(row["state"]), recomputed.blob
    state = step(Task(before), InputArrived()).task.state
    if state is not before:
        changes.now_ready(row["pool"], recomputed.node)
    c.run(
        "recomputed_task", task=row["id"], blob=blob.id, size=blob.size, md5=blob.md5, node=recomputed.node, state=state
    )


def _replacement(row: Row, outputs: Sequence[Recomputed | None]) -> Recomputed | None:
    """The output that takes the place of an input, if the input is lost and needed."""
    number: int = row["producer_output"]
    gone = _after(row, Event.RECOMPUTED) != row["availability"]
    return outputs[number] if number < len(outputs) and gone and not _unneeded(row) else None


def _still_lost(row: Row) -> bool:
    """Whether an input without a replacement is lost for its consumer."""
    return _after(row, Event.NOT_RECOMPUTED) is Availability.LOST and not _unneeded(row)


def _after(row: Row, event: Event) -> Availability:
    """The availability of a row's input after an event."""
    return availability.step(Availability(row["availability"]), event)


# Queries.


def nodes_of(c: Connection, live: LiveJob) -> set[str]:
    """The nodes on which intermediates of a job lie."""
    found: set[str] = set()
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        statement = "nodes_of_task_inputs" if phase.fed else "nodes_of_tasks"
        found |= {row["node"] for row in c.all(statement, pool=pool)}
    return found


def located(c: Connection, pool: int) -> Counter[str]:
    """Number of ready tasks of a pool by the node that they belong to."""
    return Counter({row["node"]: row["n"] for row in c.all("count_located", pool=pool)})
