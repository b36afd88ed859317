"""mjob errors: what went wrong, one JSON record a line."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import ignored_parallel_option, job_argument
from cli.jobs.lists import print_records


@click.command("errors", cls=Command)
@ignored_parallel_option
@click.option("-j", "--json", "as_json", is_flag=True, help="JSON records, which they are anyway.")
@job_argument
def command(job: tuple[str, ...], as_json: bool) -> None:
    """Print the errors of jobs, one JSON object per line, all of them.

    Each says what failed (what, input), why (code, message), and where the task's stderr and core were saved.

    \b
    Examples:
      mjob errors 8bd3c96e-… | jq -r .message | sort | uniq -c
      mjob errors 8bd3c96e-… | jq -r '.stderr // empty' | head -1 | xargs -r mget
    """
    print_records(job)
