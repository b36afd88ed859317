"""Invariants of the records: each rule finds what breaks it, alone, and says so in a sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Connection
from scheduler.records.invariants import JOB_RULES, RULES, broken_rows, missing_blobs, violations
from tests.support.invariants import check
from tests.support.services.records import in_memory, in_postgres

# A job of a map and a reduce phase: a map task has committed, and what it made is there for the reducer; one is ready.
RECORDS = (
    "INSERT INTO jobs (id, uuid, owner, name, document, state, created, last_input, inputs, dispatched)"
    " VALUES (1, 'job', 'jill', '', '{}', 'running', 1, 1, 2, 2) RETURNING id",
    "INSERT INTO phases (id, job, number, reducers, issued, finished, metered)"
    " VALUES (1, 1, 0, 0, 2, 1, 1) RETURNING id",
    "INSERT INTO phases (id, job, number, reducers, issued) VALUES (2, 1, 1, 1, 1) RETURNING id",
    "INSERT INTO inputs (job, seq, name) VALUES (1, 1, '/jill/stor/a'), (1, 2, '/jill/stor/b') RETURNING seq",
    "INSERT INTO tasks (id, uuid, pool, state, attempt, input, blob, size, usage)"
    " VALUES (1, 'made', 1, 'committed', 1, 'a', 'A', 1, '{}') RETURNING id",
    "INSERT INTO tasks (id, uuid, pool, state, input, blob, size)"
    " VALUES (2, 'map', 1, 'ready', 'b', 'B', 1) RETURNING id",
    "INSERT INTO tasks (id, uuid, pool, state, reducer, arrived) VALUES (3, 'reduce', 2, 'ready', 0, 1) RETURNING id",
    "INSERT INTO task_inputs (task, seq, name, blob, size, availability, producer, producer_output)"
    " VALUES (3, 1, 'part', 'C', 1, 1, 1, 0) RETURNING seq",
)
TASK = "8bd3c96e-0000-4000-8000-000000000000"
ATTEMPT = "INSERT INTO attempts (task, attempt, job, pool, state, leased, ended) VALUES"
BROKEN = [
    ("broken_counters_of_phases", "UPDATE phases SET issued = 7 WHERE id = 1", "of 2 tasks 1 have ended"),
    ("broken_counters_of_phases", "UPDATE phases SET finished = 2 WHERE id = 1", "2 as finished"),
    ("broken_counters_of_phases", "UPDATE phases SET metered = 0 WHERE id = 1", "0 as metered"),
    ("broken_counters_of_jobs", "UPDATE jobs SET errors = 5", "5 errors, 0 are listed"),
    ("broken_counters_of_jobs", "UPDATE jobs SET retries = 1", "1 retries, 0 of tasks"),
    ("broken_counters_of_jobs", "UPDATE jobs SET dispatched = 3", "2 are listed, 3 are dispatched"),
    ("broken_ends", "UPDATE jobs SET state = 'done', input_done = 1", "or 1 of 3 tasks have ended"),
    ("broken_leases", "UPDATE tasks SET agent = 1 WHERE id = 2", "task map is ready in attempt 0, and its agent is 1"),
    ("broken_leases", "UPDATE tasks SET state = 'leased', attempt = 1, agent = 9 WHERE id = 2", "its agent is 9"),
    ("broken_waits", "UPDATE tasks SET state = 'waiting' WHERE id = 2", "map task map is waiting"),
    (
        "broken_waits",
        "UPDATE tasks SET availability = 2, producer = 1, producer_output = 0 WHERE id = 2",
        "map task map is ready",
    ),
    ("broken_arrivals", "UPDATE tasks SET arrived = 2 WHERE id = 3", "counts 2 inputs, but has 1"),
    ("broken_arrivals", "UPDATE tasks SET state = 'waiting' WHERE id = 3", "reduce task reduce is waiting"),
    ("broken_producers", "UPDATE task_inputs SET producer = 77", "comes from task 77, which is None"),
    ("broken_producers", "UPDATE task_inputs SET availability = 2, producer = NULL", 'input "part" of availability 2'),
    ("broken_producers", "UPDATE task_inputs SET producer = 2", "from task 2, which is ready"),
    ("broken_recomputations", "UPDATE task_inputs SET availability = 3", "its producer made is committed"),
    ("broken_outputs", "UPDATE jobs SET outputs = 1", "job job has 1 outputs"),
    ("broken_commits", "UPDATE tasks SET attempt = 0 WHERE id = 1", "task made of job job is committed, but was never"),
    ("broken_attempts", f"{ATTEMPT} (1, 1, 1, 1, 'completed', 1, 2), (1, 2, 1, 1, 'completed', 1, 2)", "2 completed"),
    ("broken_attempts", f"{ATTEMPT} (2, 1, 1, 1, 'completed', 1, 2)", "is ready and has 1 completed attempts"),
    ("broken_visibility", f"UPDATE tasks SET uuid = '{TASK}' WHERE id = 2", "its task is ready"),
    ("broken_holds", "INSERT INTO locks (path, job, mode) VALUES ('/x', 99, 'exclusive')", "holds 1 times a lock"),
    ("broken_keys", "INSERT INTO keys (login, fingerprint, public) VALUES ('nan', 'ff', '')", 'the account "nan"'),
    (
        "broken_open_attempts",
        "INSERT INTO attempts (task, attempt, job, pool, state, leased) VALUES (2, 1, 1, 1, 'running', 1)",
        "attempt 1 of task map is running, but the task is ready",
    ),
    ("broken_blobs", "UPDATE task_inputs SET blob = 'O'", "blob O has 2 owners"),
    ("broken_directories", "UPDATE entries SET children = 9 WHERE name = 'stor'", "/jill/stor counts 9 entries"),
]  # fmt: skip


@pytest.fixture(params=[in_memory, in_postgres], ids=["sqlite", "postgresql"])
def c(request: pytest.FixtureRequest) -> Connection:
    make: Callable[[], Connection] = request.param
    connection = make()
    accounts.create(connection, "jill", 0)
    namespace.put_objects(connection, [NewObject("/jill/stor/o", "O", 3, "")], 1)
    for statement in RECORDS:
        connection.plain(statement)
    return connection


def broken_rules(c: Connection) -> list[str]:
    return [name for name in RULES if broken_rows(c, name)]


def test_records_that_are_right_break_no_rule(c):
    assert violations(c) == []
    check(c)


@pytest.mark.parametrize(("rule", "breakage", "said"), BROKEN)
def test_what_breaks_a_rule_is_told_in_a_sentence(c, rule, breakage, said):
    c.plain(f"{breakage} RETURNING 1")
    if rule == "broken_outputs":
        c.plain("INSERT INTO outputs (job, seq, name) VALUES (1, 1, 'o') RETURNING seq")
    if rule == "broken_visibility":
        c.plain(f"INSERT INTO outputs (job, seq, name) VALUES (1, 1, 'b.0.{TASK}') RETURNING seq")
        c.plain("UPDATE jobs SET outputs = 1 RETURNING id")
        c.plain("UPDATE phases SET number = 1 - number + 2 RETURNING id")  # its phase is the last
    assert broken_rules(c) == [rule]
    (sentence,) = violations(c)
    assert said in sentence
    with pytest.raises(AssertionError, match="invariants that do not hold"):
        check(c)


def test_a_rule_about_jobs_can_be_asked_of_one_job(c):
    c.plain("UPDATE jobs SET errors = 5 RETURNING id")
    assert [finding.details["job"] for finding in broken_rows(c, "broken_counters_of_jobs", job="job")] == ["job"]
    assert not [rule for rule in JOB_RULES if broken_rows(c, rule, job="another")]


def test_every_rule_is_broken_by_something():
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_a_job_that_is_being_purged_is_not_counted(c):
    c.plain("UPDATE jobs SET archive_done = 5, errors = 9 RETURNING id")
    assert violations(c, purged=5) != []
    assert violations(c, purged=6) == []


def test_a_cancelled_job_counts_its_tasks_as_finished_at_once(c):
    c.plain("UPDATE jobs SET cancelled = 1 RETURNING id")
    c.plain("UPDATE phases SET finished = issued RETURNING id")
    assert violations(c) == []


def test_two_names_of_a_blob_are_right_if_a_link_made_them(c):
    namespace.put_link(c, "/jill/stor/o", "/jill/stor/link")
    assert violations(c) == []
    c.plain("UPDATE entries SET shared = 0 WHERE name = 'link' RETURNING name")
    assert broken_rules(c) == ["broken_blobs"]


def test_a_blob_that_is_needed_and_not_there_is_told(c):
    assert list(missing_blobs(c, {"O", "C"}.__contains__)) == []
    assert list(missing_blobs(c, {"O"}.__contains__)) == ['blob C of "part" is missing']
    assert list(missing_blobs(c, {"C"}.__contains__)) == ['blob O of "o" is missing']
    with pytest.raises(AssertionError, match="blob C"):
        check(c, {"O"}.__contains__)
