"""mjob close: end the input of jobs."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("close", cls=Command)
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], parallel: int) -> None:
    """End the input of jobs: no more will be added, and they can finish.

    \b
    Example:
      mjob close 8bd3c96e-…
    """
    for _ in for_each(job, parallel, lambda mine, one: mine.end_input(one)):
        pass
