"""mjob get: how jobs stand."""

from __future__ import annotations

import click

from cli import text
from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option


@click.command("get", cls=Command)
@parallel_option(100)
@click.option("--json", "as_json", is_flag=True, help="One line per job instead of indented JSON.")
@job_argument
def command(job: tuple[str, ...], parallel: int, as_json: bool) -> None:
    """Print the status of jobs as JSON: state, phases, and how many tasks, outputs and errors there are.

    A job that ended long ago is read from its archive.

    \b
    Examples:
      mjob get 8bd3c96e-…
      mjob get --json 8bd3c96e-… | jq .stats.tasksDone
    """
    for status in for_each(job, parallel, lambda mine, one: mine.status_or_archive(one)):
        print(text.compact(status) if as_json else text.indented(status))
