"""No statement's cost grows with what is over: every one finds its rows by an index. See test_postgres_plans, too."""

from __future__ import annotations

import re
from functools import cache

import pytest

from scheduler.records import invariants, queries
from tests.support.services.records import in_memory

# Statements that read a whole table, or a whole index, and may: once at a start, or small by nature.
WHOLE = {
    "oldest_account",  # at the first start
    "list_accounts",  # for `remora user`; accounts are few
    "cluster_leases",  # for `remora cluster status`; what is leased, only
    "cluster_jobs",  # the index has live jobs only
    "held_at",
    "lie_at",  # for `remora cluster drain`; intermediates that are needed, only
    "leased_by_agent",  # when an agent is lost; the index has leased tasks only
    "blobs_of_entries",  # the sweep at a start reads every reference
    "blobs_of_task_inputs",
    "blobs_of_pins",
    "blobs_of_staged",
    "needed_blobs",
    "references_page",  # subqueries that are pages by an index each
    "logins",
    "newest_job",  # from the end of the table
    *("held_by_node", "finished_tasks", "live_phases", "nodes_offered"),  # for `remora top`, what is leased and live
    *("unarchived_jobs", "usage_since"),  # for `remora usage`
    "stored_in_all",  # for metrics and limits, now and then
    "count_open_jobs_in_all",  # for limits: jobs that are not done, by their index
    *invariants.RULES,  # for tests, and for operators who ask
}
# Tables that are read whole because they have a few rows.
SMALL = "supervisors|nodes|node_credentials|running_requests|doomed"
# Sorts, beside those: at most what agents hold, the names of the nodes, a directory by time, the ranges of a task.
SORTED = {
    "index_page",
    *("cluster_leases", "leased_of_pool", "nodes_with_leases", "leased_tasks_after", "longest_leased"),
    *("nodes_of_task_inputs", "list_by_mtime", "list_by_mtime_descending"),
}
# Tasks that are over stay in the table for a day, so what is open must be found by an index of its own.
INDEX_OF = {
    "lease_tasks": "tasks_ready_at",
    "count_ready": "tasks_ready_at",
    "cancel_ready": "tasks_ready_at",
    "leased_of_pool": "tasks_leased",
    "nodes_with_leases": "tasks_leased",
    "leased_tasks_after": "tasks_leased",
    "cancel_leased": "tasks_leased",
    "release_leases": "tasks_leased",
    "reduce_tasks": "tasks_reducer",
    "reduce_tasks_of": "tasks_reducer",
    "inputs_ended": "tasks_reducer",
    "cancel_waiting": "tasks_reducer",
    "cancel_waiting_maps": "tasks_gone",
    "over_with_blobs": "tasks_at",
    "tasks_at": "tasks_at",
    "lost_tasks": "tasks_gone",
    "count_located": "tasks_ready_at",
    "running_of_pool": "tasks_leased",
    "task_of_stage": "tasks_number",
}


records = cache(in_memory)


@cache
def plan(name: str) -> str:
    statement = queries.load()[name].rstrip(";")
    parameters = dict.fromkeys(re.findall(r":([a-z0-9_]+)", statement))
    rows = records().raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return "\n".join(row["detail"] for row in rows)


@pytest.mark.parametrize("name", sorted(set(queries.load()) - WHOLE))
def test_a_statement_finds_its_rows_by_an_index_and_in_order(name):
    scanned = re.findall(rf"^SCAN (?!last|{SMALL}|\(subquery-|\w+ VIRTUAL TABLE)\S+.*$", plan(name), re.MULTILINE)
    assert not scanned, scanned
    assert name in SORTED or re.search(f"SCAN ({SMALL})", plan(name)) or "TEMP B-TREE" not in plan(name)


@pytest.mark.parametrize("name", INDEX_OF)
def test_open_tasks_are_found_without_looking_at_those_that_are_over(name):
    assert f"INDEX {INDEX_OF[name]} (" in plan(name)


def test_every_exception_is_needed():
    for name in WHOLE:
        assert "SCAN" in plan(name), name
    for name in SORTED:
        assert "TEMP B-TREE" in plan(name), name
