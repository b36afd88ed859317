"""mjob delete: remove what finished jobs left."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from cli import when
from cli.client.problem import NoSuchJob
from cli.frame import Command, agreed, note
from cli.jobs.common import check_done, ids, job_argument, jobs
from cli.jobs.list import newest_first
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs


@click.command("delete", cls=Command)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Removals at once.")  # fmt: skip
@click.option("--older-than", type=when.Moment(), metavar="WHEN",
              help="All jobs created before: 7d, 12h or a date. Those that are not done stay.")  # fmt: skip
@job_argument
def command(job: tuple[str, ...], force: bool, parallel: int, older_than: int | None) -> None:
    """Remove the directories of finished jobs: outputs below ~~/jobs, saved stderr and cores, the archive.

    Outputs that the job's commands named themselves (mpipe ~~/stor/...) stay. On a terminal you are asked first.
    A job that is not done is refused; cancel it first.

    \b
    Examples:
      mjob delete 8bd3c96e
      mjob delete --older-than 7d
      mjob list -n 'try*' | xargs -r mjob delete -f
    """
    if job and older_than is not None:
        raise click.UsageError("--older-than says which jobs: name none besides", click.get_current_context())
    with jobs() as mine:
        if older_than is not None:
            delete_older(mine, older_than, parallel, force=force)
            return
        for one in ids(mine, job):
            check_done(mine, one)
            if may(f"remove job {one} and all that it left in {mine.directory(one)}", force=force):
                mine.remove(one, parallel)


def delete_older(mine: Jobs, before: int, parallel: int, *, force: bool) -> None:
    """Remove all jobs that are done and were created before a moment (ms)."""
    old = [entry["name"] for entry in newest_first(mine, "done", None, before)]
    if old and may(f"remove {count(len(old), 'job')} and all that they left in {mine.root}", force=force):
        for one in old:
            with suppress(NoSuchJob):  # what is no job's directory stays
                mine.remove(one, parallel)
    note(f"mjob delete: {count(len(old), 'job')} of that age")


def may(what: str, *, force: bool) -> bool:
    return force or not sys.stdin.isatty() or agreed(what)
