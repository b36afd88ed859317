"""mjob outputs: what a job brought forth."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.frame import Command
from cli.jobs.common import ignored_parallel_option, job_argument
from cli.jobs.lists import print_names

if TYPE_CHECKING:
    from cli.client.jobs import Jobs


@click.command("outputs", cls=Command)
@ignored_parallel_option
@click.option("--json", "as_json", is_flag=True, help="Names as JSON strings, one per line.")
@job_argument
def command(job: tuple[str, ...], as_json: bool) -> None:
    """Print the names of the objects that are outputs of jobs, one per line, all of them.

    A running job has the outputs of the tasks that have ended.

    \b
    Examples:
      mjob outputs 8bd3c96e-…
      mjob outputs 8bd3c96e-… | xargs mget          their contents
      mjob outputs 8bd3c96e-… | mjob create -o sort    as inputs of another job
    """
    print_names(job, "out", as_json=as_json)


def cat(mine: Jobs, job: str) -> None:
    """Write the contents of all outputs to stdout, in list order."""
    from cli.client import transfer

    sink = sys.stdout.buffer
    for name in mine.records(job, "out"):
        transfer.get(mine.session, name.decode("utf-8", "surrogateescape"), sink.write)
    sink.flush()
