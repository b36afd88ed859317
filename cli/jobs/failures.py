"""mjob failures: names of the inputs for which jobs had errors."""

from __future__ import annotations

import click

from cli.frame import Command
from cli.jobs.common import ignored_parallel_option, job_argument
from cli.jobs.lists import null_names, print_names


@click.command("failures", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="Names as JSON strings, one per line.")
@null_names
@job_argument
def command(job: tuple[str, ...], as_json: bool, null: bool) -> None:
    """Print the names of the inputs for which jobs had errors, one per line, all of them.

    \b
    Examples:
      mjob failures 8bd3c96e-… | sort | uniq -c
      mjob failures 8bd3c96e-… | mjob create -m wc    something else with these; mjob rerun --failed: the same
    """
    print_names(job, "fail", as_json=as_json, null=null)
