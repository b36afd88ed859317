"""mjob inputs: names of the inputs of jobs."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import ignored_parallel_option, job_argument
from cli.jobs.lists import null_names, print_names


@click.command("inputs", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="Names as JSON strings, one per line.")
@null_names
@job_argument
def command(job: tuple[str, ...], as_json: bool, null: bool) -> None:
    """Print the names of the inputs of jobs, one per line, all of them.

    \b
    Example:
      mjob inputs 8bd3c96e-…
    """
    print_names(job, "in", as_json=as_json, null=null)
