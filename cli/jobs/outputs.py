"""mjob outputs: what a job brought forth."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import ignored_parallel_option, job_argument
from cli.jobs.lists import null_names, print_names


@click.command("outputs", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="Names as JSON strings, one per line.")
@null_names
@job_argument
def command(job: tuple[str, ...], as_json: bool, null: bool) -> None:
    """Print the names of the objects that are outputs of jobs, one per line, all of them.

    A running job has the outputs of the tasks that have ended.

    \b
    Examples:
      mjob outputs 8bd3c96e-…
      mjob outputs 8bd3c96e-… | grep /reduce. | xargs -r mget
      mjob outputs 8bd3c96e-… | mjob create -o sort    as inputs of another job
    """
    print_names(job, "out", as_json=as_json, null=null)
