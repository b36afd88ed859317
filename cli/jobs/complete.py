"""mjob complete: end maps now, with the output that there is."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("complete", cls=Command)
@parallel_option(100)
@job_argument
def command(job: tuple[str, ...], parallel: int) -> None:
    """Complete operations early: tasks that run are aborted, and what the others have made is published.

    That is for mjob map. A merge, an erase or a sort of a part of its input is no result: abort it, or let it end. The
    result says "early": true. To complete one twice is no error. mjob watch waits for the publication.

    \b
    Example:
      mjob complete last
    """
    for _ in for_each(job, parallel, lambda mine, one: mine.control(one, "complete")):
        pass
