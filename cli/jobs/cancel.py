"""mjob cancel: end jobs early."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("cancel", cls=Command)
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], parallel: int) -> None:
    """Cancel jobs. Their running tasks are killed; what is done already stays, but do not rely on it.

    \b
    Example:
      mjob cancel 8bd3c96e-…
    """
    for _ in for_each(job, parallel, lambda mine, one: mine.cancel(one)):
        pass
