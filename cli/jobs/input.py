"""mjob input: what a task of an operation reads."""

from __future__ import annotations

import sys

import click

from cli import text
from cli.frame import Command
from cli.jobs import task_names
from cli.jobs.common import complete_job, jobs, only


@click.command("input", cls=Command)
@click.option("--ranges", is_flag=True, help="Print where it comes from instead: one JSON object per range.")
@click.argument("words", metavar="job task [attempt]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], ranges: bool) -> None:
    """Print the input of a task of an operation: the very bytes that its attempts have on their standard input.

    So a command that fails can be tried on it where it can be watched. It can be had until a day after the end of the
    operation, while the objects that it comes from are there and unchanged.

    \b
    Examples:
      mjob input last 17 | head
      mjob input last 1.17 > slice && wc -l < slice
      mjob input --ranges last 17
    """
    with jobs() as mine:
        job = only(mine, words[:1])
        name = task_names.attempt(mine, job, words[1:])
        if ranges:
            for each in mine.attempt(job, name)["input"]:
                print(text.compact(each))
            return
        for piece in mine.of_attempt(job, name, "input"):
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
