"""Invariants of the records: rules that hold after every transaction, as queries for the rows that break them.

Each rule is one SELECT in `sql/invariants.sql`, which finds the rows that break it, and one sentence about each such
row. The queries read whole tables, so they are for tests and for an operator, never for a service at work. A rule
concerns the records alone; `missing_blobs` compares them with the shared store.

Example: a job counts 3 outputs and has 2 rows of them. `broken_counters_of_jobs` finds its row, and the sentence begins
"job 5964b24c…: 3 outputs are counted, 2 are listed".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scheduler.records.database import Connection

# The number of broken rows that are reported of each rule.
LIMIT = 20
RULES = {
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
    "broken_attempts": "attempt {attempt} of task {task} is {state}, but the task is {task_state}, or its job {job} is"
    " done: an open attempt is leased, or is being stopped",
    "broken_blobs": "blob {blob} has {owners} owners",
    "broken_directories": "{dir}/{name} counts {children} entries, but has {entries}",
}


def violations(c: Connection, purged: int = 0) -> list[str]:
    """A sentence for each row that breaks a rule, at most `LIMIT` of each rule.

    `purged`: jobs that were archived before this time (ms since the epoch) may have lost records already.
    """
    return [
        sentence.format_map({key: row[key] for key in row.keys()})  # noqa: SIM118 - iteration gives values
        for name, sentence in RULES.items()
        for row in c.all(name, purged=purged, limit=LIMIT)
    ]


def missing_blobs(c: Connection, exists: Callable[[str], bool]) -> Iterator[str]:
    """A sentence for each blob that the records need and the shared store lacks.

    Memory does not grow with their number.
    """
    for row in c.each("needed_blobs"):
        if not exists(row["blob"]):
            yield f'blob {row["blob"]} of "{row["name"]}" is missing'
