"""On PostgreSQL, too, every statement finds its rows by an index, although nobody has counted them yet.

Plans are made once in a session, often when the tables are young: so they are looked at here in a database that has
many tasks that are over, a few that are open, and no statistics.
"""

from __future__ import annotations

import re

import psycopg
import pytest

from scheduler.records.postgres import dialect
from scheduler.records.postgres.server import SETTINGS
from tests.support.services import postgres
from tests.unit.records.test_statements import INDEX_OF, SMALL, SORTED, WHOLE

TASKS = """
INSERT INTO tasks (uuid, pool, state, reducer)
SELECT 'u', 1 + n % 3,
    CASE n % 1000 WHEN 0 THEN 'ready' WHEN 1 THEN 'leased' WHEN 2 THEN 'waiting' ELSE 'committed' END,
    CASE WHEN n % 100 = 7 THEN n END
FROM generate_series(1, 30000) AS n"""
INPUTS = """
INSERT INTO task_inputs (task, seq, name, blob, size, availability) SELECT n / 100, n, 'n', 'b', 1, 0
FROM generate_series(1, 30000) AS n"""
# Sorted on PostgreSQL alone: all tasks of a job, for its document of performance.
SORTED_HERE = {"runs_of_job"}
# Two of them begin alike; which one is better depends on what the other columns hold.
EITHER = {"tasks_ready", "tasks_ready_at"}


@pytest.fixture(scope="module")
def plans():
    """The plan of each statement, made for no values."""
    server = postgres.shared()
    url = server.create()
    found = {}
    with psycopg.connect(url, autocommit=True) as c:
        for key, value in SETTINGS.items():
            c.execute("SELECT set_config(%s, %s, false)", (key, value))
        c.execute("ALTER TABLE tasks SET (autovacuum_enabled = false)")
        c.execute(TASKS)
        c.execute(INPUTS)
        for number, (name, statement) in enumerate(dialect.load().items()):
            c.execute(f"PREPARE p{number} AS {statement.sql}".encode())
            values = f"({', '.join(['NULL'] * len(statement.names))})" if statement.names else ""
            found[name] = "\n".join(row[0] for row in c.execute(f"EXPLAIN EXECUTE p{number}{values}".encode()))
    yield found
    server.drop(url)


@pytest.mark.parametrize("name", sorted(set(dialect.load()) - WHOLE))
def test_a_statement_finds_its_rows_by_an_index(plans, name):
    scanned = re.findall(rf"Seq Scan on (?!{SMALL})\w+", plans[name])
    assert not scanned, plans[name]


@pytest.mark.parametrize("name", sorted(set(dialect.load()) - WHOLE - SORTED - SORTED_HERE))
def test_a_statement_finds_its_rows_in_order(plans, name):
    """A page that sorts costs as much as all that follows it."""
    assert "Sort Key" not in plans[name], plans[name]


@pytest.mark.parametrize("name", INDEX_OF)
def test_open_tasks_are_found_without_looking_at_those_that_are_over(plans, name):
    indices = set(re.findall(r"Scan (?:Backward )?using (\w+)", plans[name]))
    assert indices & (EITHER if INDEX_OF[name] in EITHER else {INDEX_OF[name]}), plans[name]
