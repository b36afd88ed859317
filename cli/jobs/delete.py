"""mjob delete: remove what finished jobs left."""

from __future__ import annotations

import sys

import click

from cli.frame import Command, agreed
from cli.jobs.common import check_done, ids, job_argument, jobs


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
      mjob list -s done | tr -d / | xargs -r mjob delete -f
    """
    wanted = ids(job)
    with jobs() as mine:
        for one in wanted:
            check_done(mine, one)
            question = f"remove job {one} and all that it left in {mine.directory(one)} [y/N]?: "
            if force or not sys.stdin.isatty() or agreed(question):
                mine.remove(one, parallel)
