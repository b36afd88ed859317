"""mjob rerun: a job once more, with all of its inputs or those that failed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from cli.client.problem import Problem
from cli.frame import Command, note
from cli.jobs.common import check_done, jobs, one_job_argument, only
from cli.jobs.documents import unfinished
from cli.jobs.follow import run_job
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status


@click.command("rerun", cls=Command)
@click.option("--failed", is_flag=True, help="Only the inputs that have no result: those that failed, each once; of a "
              "cancelled job also those that never ran.")  # fmt: skip
@run_job.flow_options
@one_job_argument
def command(job: tuple[str, ...], failed: bool, **options: Any) -> None:
    """Create a job with the name, the phases and the inputs of a job that is done; print its id.

    The inputs are names: each object is read as it is now. With --failed the new job gets the inputs that mjob
    failures lists, each once; errors of reducers come from no single input and are not among them. Of a job that was
    cancelled it gets all inputs whose tasks were not all done: every one, if the job has a reduce phase.

    \b
    Examples:
      mjob rerun last
      mjob rerun --failed -o 8bd3c96e >> results

    Exit status: as of mjob create; 1 also if --failed finds no input.
    """
    flow = run_job.taken(options)
    with jobs() as mine:
        old = only(mine, job)
        status = check_done(mine, old)
        inputs = without_result(mine, old, status) if failed else mine.records(old, "in")

        def feed(new: str) -> None:
            number = run_job.add_all(mine, new, batches(inputs, flow.batch), flow)
            mine.end_input(new)
            if failed and status["cancelled"]:
                note(f"job {old} was cancelled: {count(number, 'input')} without a result run again")

        run_job.run(mine, body_of(status), flow, feed)


def without_result(mine: Jobs, job: str, status: Status) -> Iterator[bytes]:
    """The inputs that --failed means. Raises `Problem` if there are none."""
    found = unfinished.of_job(mine, job, status) if status["cancelled"] else distinct(mine.records(job, "fail"))
    return at_least_one(found, f"job {job} has no failed inputs: nothing to run again")


def body_of(status: dict[str, Any]) -> bytes:
    """The JSON text of a job like the one with this status."""
    from cli.jobs.documents.specification import encoded

    if "type" in status:
        raise Problem(f"job {status['id']} is an operation: give mjob {status['type']} again")
    return encoded({key: status[key] for key in ("name", "phases", "transient") if status.get(key)})


def distinct(names: Iterable[bytes]) -> Iterator[bytes]:
    """Each name once, where it comes first. Those seen are kept in a temporary file: they may be millions."""
    with closing(sqlite3.connect("")) as seen:
        seen.execute("CREATE TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID")
        for name in names:
            if seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount:
                yield name


def at_least_one(names: Iterator[bytes], otherwise: str) -> Iterator[bytes]:
    """The same names. Raises `Problem` now if there are none."""
    first = next(names, None)
    if first is None:
        raise Problem(otherwise)
    return chain([first], names)


def batches(names: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for name in names:
        batch.append(name)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
