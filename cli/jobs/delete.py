"""mjob delete: remove what finished jobs left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem, Refused
from cli.frame import Command
from cli.jobs.common import ids, job_argument, jobs

if TYPE_CHECKING:
    from cli.client.jobs import Jobs


@click.command("delete", cls=Command)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Removals at once.")  # fmt: skip
@job_argument
def command(job: tuple[str, ...], force: bool, parallel: int) -> None:
    """Remove the directories of finished jobs: outputs below ~~/jobs, saved stderr and cores, the archive.

    Outputs that the job's commands named themselves (mpipe ~~/stor/...) stay. On a terminal you are asked first.
    A job that is not done is refused; cancel it first.

    \b
    Examples:
      mjob delete 8bd3c96e-…
      mjob list -s done | tr -d / | xargs mjob delete -f
    """
    from cli.commands.mrm import agreed

    wanted = ids(job)
    with jobs() as mine:
        for one in wanted:
            check_done(mine, one)
            question = f"remove job {one} and all that it left in {mine.directory(one)} [y/N]?: "
            if force or not sys.stdin.isatty() or agreed(question):
                mine.remove(one, parallel)


def check_done(mine: Jobs, job: str) -> None:
    """Raises `Problem` unless the job exists and is done."""
    try:
        state = mine.status_or_archive(job)["state"]
    except Refused as error:
        raise Problem(f"there is no job {job}") if error.status == 404 else error from None
    if state != "done":
        raise Problem(f"job {job} is {state}: wait for it (mjob watch {job}) or end it (mjob cancel {job}) first")
