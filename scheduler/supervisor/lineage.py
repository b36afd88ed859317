"""Who made it: intermediates that died with their node are made again, by the tasks that made them.

One idea: *an input that is gone is a debt, written in its consumer's row, and paid by the one task that
made it.* The column `own` says how an input stands:

    CONSUMED  0   not ours, or not needed any more
    HERE      1   where `node` says
    WANTED    2   gone, and its maker does not know
    OWED      3   gone; its maker is open again and will put something in its place
    UNREAD    4   gone, but the attempt that runs may have read it; WANTED once that is lost

    a node is lost ──▶ lose_page: HERE → WANTED (or UNREAD)
    anything WANTED ──▶ mend_page: the maker goes back from committed to ready, WANTED → OWED;
                        what the maker itself had consumed is WANTED, and so on, back to the job's inputs
    the maker commits ──▶ refill: by position among its outputs, OWED → HERE

Each arrow is a transaction, or many of one page each, and all that remains to be done is in the rows: a
supervisor that dies in between leaves WANTED rows, and whoever takes the job up goes on. A maker that is a
reduce task goes back once all pages of its input are marked.

A map task waits while its input is gone. A reduce task need not: it is fed up to the gap, in order, and
has a place of its own meanwhile (`LiveJob.may_block`). Counters end as if nothing had happened: a maker
that goes back is not finished, when it commits again it is, and its outputs, usage, objects with names and
errors count from the first time.

Makers must make the same again: outputs are matched by their position. Where there is none at that
position any more, its consumer fails, by an InternalError that says so. So it does when a maker's output
could not be had for the sixth time, although its node lives.

Example: map → reduce → map on nodes a and b. Node a dies with 3 outputs of the reducer unread, whose 900
inputs have long been consumed: 3 map tasks wait, the reducer is ready again, 900 of its inputs are WANTED
and so 900 first map tasks are ready, on b. The reducer starts at once and reads as they finish.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from scheduler.engine.task import FINAL, InputArrived, InputLost, Remake, Task, TaskState, step, then
from scheduler.model.wire import BlobRef
from scheduler.records.database import Connection, Row
from scheduler.supervisor.book import JobBook
from scheduler.supervisor.changes import Changes
from scheduler.supervisor.live import LiveJob

PAGE = 500
# What a maker made may be missed so often, before nobody hopes any more.
MAX_MISSES = 5


class Own(IntEnum):
    CONSUMED = 0
    HERE = 1
    WANTED = 2
    OWED = 3
    UNREAD = 4


@dataclass(frozen=True, slots=True)
class Missed:
    """What becomes of an attempt that could not have an input. `excused`: it costs no retry."""

    excused: bool = True
    wanted: bool = False
    hopeless: str | None = None


NOTHING_MISSED = Missed()


@dataclass(frozen=True, slots=True)
class Made:
    """An output made again, and where it lies."""

    node: str | None
    blob: BlobRef


# A node is lost.


def lose_page(c: Connection, live: LiveJob, node: str, given: Mapping[int, int], limit: int) -> tuple[Changes, bool]:
    """Mark a page of what a job had on a lost node; what changed, and whether there is more.

    `given`: by reduce task that runs elsewhere, how far it was fed.
    """
    changes = Changes()
    more = False
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        lose = _lose_inputs if phase.reduce else _lose_tasks
        wanted, full = lose(c, changes, pool, node, given, limit)
        more = more or full
        if wanted:
            changes.mend.add(live.id)
    return changes, more


def _lose_tasks(
    c: Connection, changes: Changes, pool: int, node: str, given: Mapping[int, int], limit: int
) -> tuple[bool, bool]:
    """Whether anything is wanted, and whether there may be more."""
    wanted = False
    rows = c.all("tasks_at", pool=pool, node=node, limit=limit)
    for row in rows:
        before = TaskState(row["state"])
        own = Own.UNREAD if before is TaskState.LEASED else Own.CONSUMED if before in FINAL else Own.WANTED
        state = step(Task(before), InputLost()).task.state
        if state is not before:
            changes.now_ready(pool, node, -1)
        wanted = wanted or own is Own.WANTED
        c.run("set_own", task=row["id"], own=own, state=state)
    return wanted, len(rows) >= limit


def _lose_inputs(
    c: Connection, changes: Changes, pool: int, node: str, given: Mapping[int, int], limit: int
) -> tuple[bool, bool]:
    """As `_lose_tasks`."""
    wanted = False
    changes.located[pool, node] -= c.run("leave_ready", pool=pool, node=node)
    c.run("leave_node", pool=pool, node=node)
    rows = c.all("task_inputs_at", pool=pool, node=node, limit=limit)
    for row in rows:
        state = TaskState(row["state"])
        read = state is TaskState.LEASED and row["seq"] <= given.get(row["task"], 0)
        own = Own.CONSUMED if state in FINAL else Own.UNREAD if read else Own.WANTED
        wanted = wanted or own is Own.WANTED
        c.run("set_input_own", task=row["task"], seq=row["seq"], own=own)
    return wanted, len(rows) >= limit


def missed(c: Connection, row: Row, missing: Sequence[str]) -> Missed:
    """An attempt at the task of `row` says that it could not have these intermediates: they are wanted again."""
    if row["reducer"] is None:
        if row["blob"] not in missing or row["own"] not in (Own.HERE, Own.UNREAD):
            return NOTHING_MISSED  # it is there again
        return _miss(c, row["maker"], row["input"])
    found = Missed()
    for each in c.all("inputs_by_blob", task=row["id"], blobs=json.dumps(list(missing))):
        this = _miss(c, each["maker"], each["name"])
        if this.wanted:
            c.run("set_input_own", task=row["id"], seq=each["seq"], own=Own.WANTED)
        found = Missed(found.excused and this.excused, found.wanted or this.wanted, found.hopeless or this.hopeless)
    return found


def _miss(c: Connection, maker: int | None, name: str) -> Missed:
    if maker is None:
        return Missed(excused=False)
    row = c.one("miss_maker", task=maker)
    if row is None or row["missed"] > MAX_MISSES:
        return Missed(hopeless=f'intermediate object "{name}" could not be fetched, again and again')
    return Missed(wanted=True)


# Makers go back.


def mend_page(c: Connection, live: LiveJob, now: int, limit: int) -> tuple[Changes, bool]:
    """Tell the makers of a page of what is wanted; what changed, and whether there may be more."""
    changes = Changes()
    book = JobBook(c, live, changes, now)
    if not book.running:
        return changes, False
    mending = _Mending(c, book, changes, limit)
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        if phase.reduce:
            mending.want_inputs(pool)
        else:
            mending.want_tasks(pool)
    if mending.idle:
        return changes, False
    mending.tell_makers()
    book.close()
    return changes, True


class _Mending:
    """One page: debts are collected, their makers told, and the debts of those that know written down."""

    def __init__(self, c: Connection, book: JobBook, changes: Changes, limit: int) -> None:
        self._c = c
        self._book = book
        self._changes = changes
        self._limit = limit
        self._tasks: list[Row] = []
        self._inputs: list[Row] = []

    @property
    def idle(self) -> bool:
        return not (self._tasks or self._inputs)

    def want_tasks(self, pool: int) -> None:
        for row in self._c.all("unread_tasks", pool=pool, limit=self._limit):
            self._changes.now_ready(pool, row["node"], -1)
            self._c.run("set_own", task=row["id"], own=Own.WANTED, state=TaskState.WAITING)
        self._tasks += self._c.all("wanted_tasks", pool=pool, limit=self._limit)

    def want_inputs(self, pool: int) -> None:
        self._c.run("unread_of_pool", pool=pool)
        self._inputs += self._c.all("wanted_inputs", pool=pool, limit=self._limit)

    def tell_makers(self) -> None:
        wanted = [row["maker"] for row in (*self._tasks, *self._inputs) if not _moot(row)]
        known = self._c.all("tasks_for_reports", tasks=json.dumps(sorted(set(wanted))))
        told = {row["id"] for row in known if self._remake(row)}
        for row in self._tasks:
            if _moot(row) or row["maker"] in told:
                own = Own.CONSUMED if _moot(row) else Own.OWED
                self._c.run("set_own", task=row["id"], own=own, state=row["state"])
        for row in self._inputs:
            if _moot(row) or row["maker"] in told:
                own = Own.CONSUMED if _moot(row) else Own.OWED
                self._c.run("set_input_own", task=row["task"], seq=row["seq"], own=own)

    def _remake(self, maker: Row) -> bool:
        """Have a task make its outputs again; False if that takes another page."""
        before = Task(TaskState(maker["state"]), maker["attempt"], maker["retries"], maker["remakes"] > 0)
        result = step(before, Remake())
        if result.task == before:
            return True  # it is about to, or its job is cancelled
        own = maker["own"]
        if maker["reducer"] is not None:
            if self._c.run("want_inputs", task=maker["id"], limit=self._limit) >= self._limit:
                return False
        elif maker["maker"] is not None and own != Own.HERE:
            own, result = Own.WANTED, then(result, InputLost())
        self._c.run("remake_task", task=maker["id"], state=result.task.state, own=own)
        self._book.reopened(maker["pool"])
        if result.task.state is TaskState.READY:
            self._changes.now_ready(maker["pool"], maker["node"])
        return True


def _moot(row: Row) -> bool:
    """Whether nobody needs an input that is wanted. A committed reduce task wants some when it is about to go back."""
    return row["state"] in (TaskState.FAILED, TaskState.CANCELLED)


# A maker is done.


def refill(
    c: Connection, live: LiveJob, changes: Changes, maker: int, outputs: Sequence[Made | None]
) -> dict[int, str]:
    """Put what was made again in the place of what is gone. Tasks whose input is still gone, with the input's name."""
    used: set[int] = set()
    hopeless: dict[int, str] = {}
    for row in c.all("tasks_made_for", task=maker):
        if made := _paid(row, outputs):
            _refill_task(c, changes, row, made)
            used.add(row["made"])
        elif _owed(row):
            hopeless[row["id"]] = row["input"]
    for row in c.all("inputs_made_for", task=maker):
        key = {"task": row["task"], "seq": row["seq"]}
        if made := _paid(row, outputs):
            c.run("refill_input", **key, blob=made.blob.id, size=made.blob.size, node=made.node)
            used.add(row["made"])
        elif _owed(row) and row["state"] == TaskState.COMMITTED:  # it is about to go back, and will know then
            c.run("set_input_own", **key, own=Own.WANTED)
            changes.mend.add(live.id)
        elif _owed(row):
            hopeless[row["task"]] = row["name"]
    for number, unused in enumerate(outputs):
        if unused is not None and unused.blob.size and number not in used:
            changes.throw(unused.node, unused.blob.id)
    return hopeless


def _refill_task(c: Connection, changes: Changes, row: Row, made: Made) -> None:
    before, blob = TaskState(row["state"]), made.blob
    state = step(Task(before), InputArrived()).task.state
    if state is not before:
        changes.now_ready(row["pool"], made.node)
    c.run("refill_task", task=row["id"], blob=blob.id, size=blob.size, md5=blob.md5, node=made.node, state=state)


def _paid(row: Row, outputs: Sequence[Made | None]) -> Made | None:
    """What takes the place of an input, if that is gone and needed."""
    number: int = row["made"]
    return outputs[number] if number < len(outputs) and row["own"] > Own.HERE and not _moot(row) else None


def _owed(row: Row) -> bool:
    return row["own"] in (Own.WANTED, Own.OWED) and not _moot(row)


# What there is.


def nodes_of(c: Connection, live: LiveJob) -> set[str]:
    """Where intermediates of a job lie."""
    found: set[str] = set()
    for phase, pool in zip(live.spec.phases, live.pools, strict=True):
        statement = "nodes_of_task_inputs" if phase.reduce else "nodes_of_tasks"
        found |= {row["node"] for row in c.all(statement, pool=pool)}
    return found


def located(c: Connection, pool: int) -> Counter[str]:
    """Ready tasks of a pool by the node that they belong to."""
    return Counter({row["node"]: row["n"] for row in c.all("count_located", pool=pool)})
