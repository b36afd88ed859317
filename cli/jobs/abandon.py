"""mjob abandon: give up tasks of an operation, with what they would have read."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs import task_names
from cli.jobs.common import complete_job, jobs, only


@click.command("abandon", cls=Command)
@click.argument("words", metavar="job task...", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...]) -> None:
    """Abandon tasks of an operation that wait or run: each counts as done, without output. Its input is given up.

    That is for tasks of mjob map and of mjob merge --combine, such as one whose command fails on a broken line. The
    result says how many were abandoned. To abandon a task twice is no error.

    \b
    Examples:
      mjob attempts --state failed last | jq -r .id
      mjob input last 17 | head
      mjob abandon last 17
    """
    context = click.get_current_context()
    if len(words) < 2:
        raise click.UsageError("A JobId and at least one task must be specified", context)
    with jobs() as mine:
        job = only(mine, words[:1])
        for name in [task_names.task(mine, job, word) for word in words[1:]]:
            mine.control(job, f"tasks/{name}/abandon")
