"""mjob abort-attempt: end one attempt of an operation, whose task runs again."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs import task_names
from cli.jobs.common import complete_job, jobs, only


@click.command("abort-attempt", cls=Command)
@click.argument("words", metavar="job task [attempt]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...]) -> None:
    """Abort an attempt of an operation: its processes are killed, and its task runs again. It counts as no failure.

    A task is 17, or 1.17 for one of stage 1; an attempt is 1.17.2, too. Without an attempt the newest is meant. To
    abort one that has ended is no error.

    \b
    Examples:
      mjob attempts --state running last | jq -r .id
      mjob abort-attempt last 17
      mjob abort-attempt last 1.17.2
    """
    with jobs() as mine:
        job = only(mine, words[:1])
        mine.control(job, f"attempts/{task_names.attempt(mine, job, words[1:])}/abort")
