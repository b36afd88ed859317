"""Invariants of the records: rules that hold after every transaction, as queries for the rows that break them.

Each rule is one SELECT in `sql/invariants.sql`, which finds the rows that break it, and one sentence about each such
row. The queries read whole tables, so they are for tests and for an operator, never for a service at work. A rule
concerns the records alone; `missing_blobs` compares them with the shared store, and `scheduler.objects.verification`
does so without ever having all of either in memory.

Example: a job counts 3 outputs and has 2 rows of them. `broken_counters_of_jobs` finds its row, and the sentence begins
"job 5964b24c…: 3 outputs are counted, 2 are listed".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.records.database import Connection

# The number of broken rows that are reported of each rule.
LIMIT = 20
# The rules about jobs, which can be asked of one job alone.
JOB_RULES = {
    "broken_counters_of_phases": "job {job}, phase {phase}: {issued} tasks are counted as issued, {finished} as"
    " finished, {metered} as metered, but of {tasks} tasks {ended} have ended and {measured} have a usage",
    "broken_counters_of_jobs": "job {job}: {outputs} outputs are counted, {output_rows} are listed; {errors} errors,"
    " {error_rows} are listed; {inputs} inputs, {input_rows} are listed, {dispatched} are dispatched;"
    " {retries} retries, {task_retries} of tasks",
    "broken_ends": "job {job} is done, but its input is open, or {dispatched} of {inputs} inputs are dispatched,"
    " or {finished} of {issued} tasks have ended",
    "broken_leases": "task {task} is {state} in attempt {attempt}, and its agent is {agent}: a leased task has an agent"
    " that is on record, others have none",
    "broken_waits": "map task {task} is {state}, and the availability of its input is {availability}: it waits exactly"
    " while that is lost or being recomputed",
    "broken_arrivals": "reduce task {task} is {state} and counts {arrived} inputs, but has {inputs}",
    "broken_producers": 'input "{input}" of availability {availability} comes from task {producer}, which is {state}:'
    " it must have committed once",
    "broken_recomputations": 'input "{input}" is being recomputed, but its producer {producer} is {state}',
    "broken_outputs": "job {job} has {outputs} outputs, but no task of its last phase has ever committed",
    "broken_commits": "task {task} of job {job} is committed, but was never leased",
    "broken_attempts": "task {task} of job {job} is {state} and has {attempts} completed attempts",
    "broken_visibility": '"{output}" is listed as an output of job {job}, but its task is {state}',
    "broken_holds": "job {job} ({id}) is archived or not on record, but holds {held} times a {what}",
    "broken_open_attempts": "attempt {attempt} of task {task} is {state}, but the task is {task_state}, or its job {job}"
    " is done: an open attempt is leased, or is being stopped",
}
# The rules about all other records.
OTHER_RULES = {
    "broken_blobs": "blob {blob} has {owners} owners",
    "broken_directories": "{dir}/{name} counts {children} entries, but has {entries}",
    "broken_keys": 'key {fingerprint} belongs to the account "{login}", which does not exist',
}
RULES = JOB_RULES | OTHER_RULES


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where a rule does not hold: the rule, a sentence, and the columns of the row that breaks it."""

    rule: str
    sentence: str
    details: Mapping[str, Any] = field(default_factory=dict)


def broken_rows(c: Connection, rule: str, purged: int = 0, job: str = "") -> list[Finding]:
    """The rows that break a rule, at most `LIMIT`; with `job`, a UUID, those of one job, for one of `JOB_RULES`."""
    parameters = {"purged": purged, "limit": LIMIT, "job": job}
    rows = [{key: row[key] for key in row.keys()} for row in c.all(rule, **parameters)]  # noqa: SIM118 - iteration gives values
    return [Finding(rule, RULES[rule].format_map(row), row) for row in rows]


def violations(c: Connection, purged: int = 0) -> list[str]:
    """A sentence for each row that breaks a rule, at most `LIMIT` of each rule.

    `purged`: jobs that were archived before this time (ms since the epoch) may have lost records already.
    """
    return [finding.sentence for rule in RULES for finding in broken_rows(c, rule, purged)]


def missing_blobs(c: Connection, exists: Callable[[str], bool]) -> Iterator[str]:
    """A sentence for each blob that the records need and the shared store lacks.

    Memory does not grow with their number.
    """
    for row in c.each("needed_blobs"):
        if not exists(row["blob"]):
            yield f'blob {row["blob"]} of "{row["name"]}" is missing'
