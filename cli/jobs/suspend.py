"""mjob suspend: let no further task of jobs begin."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("suspend", cls=Command)
@click.option("--abort-running", is_flag=True, help="Abort what runs, too; it runs again once the job is resumed.")
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], abort_running: bool, parallel: int) -> None:
    """Suspend jobs: no further task begins until mjob resume. Tasks that run go on to their end.

    The status stays what it is, and says "suspended": true. Time limits go on counting. To suspend a job twice is no
    error.

    \b
    Examples:
      mjob suspend last
      mjob suspend --abort-running 8bd3c96e
    """
    query = {"abort": "true"} if abort_running else None
    for _ in for_each(job, parallel, lambda mine, one: mine.control(one, "suspend", query=query)):
        pass
