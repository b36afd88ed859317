"""mjob abort: end operations, and leave nothing of them."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("abort", cls=Command)
@click.option("--reason", metavar="TEXT", help="Why, for the result of the operation.")
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], reason: str | None, parallel: int) -> None:
    """Abort operations: nothing is published, and the target stays as it was. A job of phases is cancelled.

    The status is aborting until the last process is gone, and then aborted. To abort one twice is no error. To keep
    what there is, use mjob complete.

    \b
    Examples:
      mjob abort last
      mjob abort --reason 'the wrong month' 8bd3c96e
    """
    body = {"reason": reason} if reason else None
    for _ in for_each(job, parallel, lambda mine, one: mine.control(one, "abort", body)):
        pass
