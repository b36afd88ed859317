"""Statements that set the state of a task, or where an intermediate stands, do what the engine's tables say.

Each is named after an event and changes many rows at once, since to judge each of them would cost too much. Here it
meets rows of every state, on both databases: what it does to each must be what the table makes of the event.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from scheduler.engine import availability, task
from scheduler.engine.availability import Availability
from scheduler.engine.task import FINAL, MAX_ATTEMPTS, Cancelled, InputArrived, Leased, Released, Task, TaskState
from scheduler.records import queries
from scheduler.records.database import Connection, Row
from tests.support.services.records import in_memory, in_postgres

POOL, NODE = 1, "n1"
Event = availability.Event
# Statements that write, for one row, what `step` has made of it.
WORKED_OUT = {"update_task", "set_availability", "set_input_availability", "remake_task"}
SETS = re.compile(r"UPDATE (tasks|task_inputs)\b.*?\bSET (.*?)(?:\bWHERE\b|$)", re.DOTALL)


def state(row: Row) -> TaskState:
    return TaskState(row["state"])


def available(row: Row) -> Availability:
    return Availability(row["availability"])


def never(row: Row) -> bool:
    return False


@dataclass(frozen=True)
class Rule:
    """What a statement is: an event of tasks, or of their inputs. `leaves`: rows that the event would change, but which
    other statements change, or which cannot be; `only`: rows that callers of the statement look up first."""

    task: task.Event | None = None
    input: availability.Event | None = None
    leaves: Callable[[Row], bool] = never
    only: Callable[[Row], bool] = lambda row: True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def outcome(self, row: Row) -> tuple[Task, Availability]:
        """What the tables say."""
        before, stands = task_of(row), available(row)
        if self.leaves(row):
            return before, stands
        after = task.step(before, self.task).task if self.task else before
        return after, availability.step(stands, self.input) if self.input else stands


def task_of(row: Row) -> Task:
    return Task(state(row), row["attempt"], row["retries"], row["remakes"] > 0, row["failures"])


def is_map(row: Row) -> bool:
    return row["reducer"] is None


def is_reduce(row: Row) -> bool:
    return not is_map(row)


RECOMPUTED = {"blob": "new", "size": 1, "node": "n2"}
TASKS = {
    "inputs_arrived": Rule(InputArrived(), only=is_reduce, parameters={"arrived": 1, "now": 1}),
    "inputs_ended": Rule(InputArrived(), leaves=is_map, parameters={"now": 1}),
    "lease_tasks": Rule(Leased(), leaves=lambda row: row["node"] is not None, parameters={"agent": 9, "now": 1}),
    "lease_tasks_at": Rule(
        Leased(), leaves=lambda row: row["node"] is None, parameters={"agent": 9, "node": NODE, "now": 1}
    ),
    "release_leases": Rule(Released()),
    "return_lease": Rule(Released()),
    "cancel_task": Rule(Cancelled()),
    "cancel_ready": Rule(Cancelled(), leaves=lambda row: state(row) is not TaskState.READY),
    "cancel_leased": Rule(Cancelled(), leaves=lambda row: state(row) is not TaskState.LEASED),
    "cancel_waiting": Rule(Cancelled(), leaves=lambda row: is_map(row) or state(row) is not TaskState.WAITING),
    "cancel_waiting_maps": Rule(
        Cancelled(),
        Event.CONSUMER_ENDED,
        leaves=lambda row: is_reduce(row) or state(row) is not TaskState.WAITING or available(row) <= Availability.HERE,
    ),
    "consumer_ended_tasks": Rule(input=Event.CONSUMER_ENDED),
    "recomputed_task": Rule(
        input=Event.RECOMPUTED,
        only=lambda row: available(row) > Availability.HERE,
        parameters={**RECOMPUTED, "md5": ""},
    ),
}
INPUTS = {
    "attempt_lost_of_task": Rule(input=Event.ATTEMPT_LOST),
    "attempt_lost_of_pool": Rule(
        input=Event.ATTEMPT_LOST, leaves=lambda row: state(row) is TaskState.LEASED or state(row) in FINAL
    ),
    "consumer_reopened_inputs": Rule(input=Event.CONSUMER_REOPENED, leaves=lambda row: row["producer"] is None),
    # What is here is removed by page, in `retention`.
    "consumer_ended_inputs": Rule(input=Event.CONSUMER_ENDED, leaves=lambda row: available(row) is Availability.HERE),
    "recomputed_input": Rule(
        input=Event.RECOMPUTED, only=lambda row: available(row) > Availability.HERE, parameters=RECOMPUTED
    ),
}  # fmt: skip


@pytest.fixture(params=[in_memory, in_postgres], ids=["sqlite", "postgresql"])
def c(request) -> Connection:
    return request.param()


def make_tasks(c: Connection) -> None:
    """Tasks of both kinds, of every state, and with inputs of every state."""
    c.plain("INSERT INTO phases (id, job, number, reducers, issued) VALUES (1, 1, 0, 0, 1000) RETURNING id")
    kinds = itertools.product((None, 0), TaskState, Availability, (None, NODE), (0, 1))
    for reducer, stands, has, node, remakes in kinds:
        c.plain(
            "INSERT INTO tasks (uuid, pool, state, attempt, retries, reducer, availability, node, remakes)"
            f" VALUES ('u', {POOL}, :state, {MAX_ATTEMPTS}, 1, :reducer, :availability, :node, :remakes) RETURNING id",
            state=stands, reducer=reducer, availability=int(has), node=node, remakes=remakes,
        )  # fmt: skip


def make_inputs(c: Connection) -> None:
    """Reduce tasks of every state, each with inputs of every state."""
    for number, stands in enumerate(TaskState, 1):
        c.plain(
            "INSERT INTO tasks (id, uuid, pool, state, reducer) VALUES (:id, 'u', 1, :state, :id) RETURNING id",
            id=number, state=stands,
        )  # fmt: skip
        for seq, (has, maker) in enumerate(itertools.product(Availability, (None, 77)), 1):
            values = {
                "task": number,
                "seq": seq,
                "name": "n",
                "origin": None,
                "blob": "b",
                "size": 1,
                "availability": int(has),
            }
            c.run("insert_task_input", **values, node=NODE, producer=maker, producer_output=0)


def run(c: Connection, name: str, rows: list[Row], **keys: str) -> None:
    """Run a statement: once for the pool, or for each row, by what it asks for."""
    rule = (TASKS | INPUTS)[name]
    asked = set(re.findall(r":([a-z0-9_]+)", queries.load()[name]))
    given = {"pool": POOL, "limit": 1000, **rule.parameters}
    for row in rows if "task" in asked else rows[:1]:
        values = given | {"state": row["state"]} | {key: row[column] for key, column in keys.items()}
        c.all(name, **{key: value for key, value in values.items() if key in asked})


@pytest.mark.parametrize("name", TASKS)
def test_a_statement_on_tasks_does_what_the_tables_say(c, name):
    make_tasks(c)
    rule, select = TASKS[name], "SELECT * FROM tasks ORDER BY id"
    before = [row for row in c.plain(select) if rule.only(row)]
    run(c, name, before, task="id")
    after = {row["id"]: (task_of(row), available(row)) for row in c.plain(select)}
    assert {row["id"]: after[row["id"]] for row in before} == {row["id"]: rule.outcome(row) for row in before}


@pytest.mark.parametrize("name", INPUTS)
def test_a_statement_on_inputs_does_what_the_table_says(c, name):
    make_inputs(c)
    rule, select = INPUTS[name], (
        "SELECT task, seq, i.availability AS availability, i.producer AS producer, state, attempt, retries, failures,"
        " remakes FROM task_inputs i JOIN tasks ON tasks.id = task ORDER BY task, seq"
    )  # fmt: skip
    before = [row for row in c.plain(select) if rule.only(row)]
    run(c, name, before, task="task", seq="seq")
    after = {(row["task"], row["seq"]): available(row) for row in c.plain(select)}
    expected = {(row["task"], row["seq"]): rule.outcome(row)[1] for row in before}
    assert {key: after[key] for key in expected} == expected


def test_cancelling_leaves_no_task_open(c):
    make_tasks(c)
    for name in ("cancel_ready", "cancel_leased", "cancel_waiting", "cancel_waiting_maps"):
        run(c, name, c.plain("SELECT * FROM tasks"), task="id")
    left = c.plain("SELECT * FROM tasks WHERE state IN ('waiting', 'ready', 'leased')")
    assert all(is_map(row) and not available(row).is_awaited for row in left)  # there are none that wait for nothing


def test_every_statement_that_sets_a_state_is_checked():
    setting = set()
    for name, statement in queries.load().items():
        found = SETS.search(statement)
        if found and re.search(r"\b(state|availability) = ", found[2]):
            setting.add(name)
    assert setting == {*TASKS, *INPUTS, *WORKED_OUT}
    for name in WORKED_OUT:
        assert not re.search(r"\b(state|availability) = (?!:)", SETS.search(queries.load()[name])[2]), name
