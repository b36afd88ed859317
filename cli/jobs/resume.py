"""mjob resume: let tasks of suspended jobs begin again."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("resume", cls=Command)
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], parallel: int) -> None:
    """Resume jobs that mjob suspend has suspended. To resume one that is not suspended is no error.

    \b
    Example:
      mjob resume last
    """
    for _ in for_each(job, parallel, lambda mine, one: mine.control(one, "resume")):
        pass
