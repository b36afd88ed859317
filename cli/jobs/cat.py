"""mjob cat: what is in the outputs of a job."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli.client.problem import Problem
from cli.frame import Command
from cli.jobs.common import complete_job, jobs, only
from cli.jobs.follow.output_printing import Printing, print_contents, print_outputs, printing_of, printing_options
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

NUMBER = re.compile(r"-?0*[1-9][0-9]{0,17}\Z")


@click.command("cat", cls=Command, context_settings={"ignore_unknown_options": True})
@printing_options
@click.argument("words", metavar="job [n]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], **options: Any) -> None:
    """Print the contents of all outputs of a job, or of the N-th: 1 is the first, -1 the last.

    The order is that of mjob outputs, which is that in which tasks have ended. A running job has the outputs of the
    tasks that have ended.

    \b
    Examples:
      mjob cat last > all
      mjob cat 8bd3c96e -1
      mjob cat --tag --keep-order last
      mjob cat --results here last         here/stor/logs/a.log is what came of ~~/stor/logs/a.log
    """
    printing = printing_of(options)
    if words[1:] and printing != Printing():
        raise click.UsageError("--tag, --keep-order and --results are for all outputs", click.get_current_context())
    with jobs() as mine:
        job = only(mine, words[:1])
        if words[1:]:
            print_contents(mine, [nth(mine, job, number(words[1:]))])
        else:
            print_outputs(mine, job, printing)


def number(words: tuple[str, ...]) -> int:
    """The number of an output. Raises a usage error for what is none."""
    if len(words) > 1 or not NUMBER.match(words[0]):
        said = " ".join(words)
        raise click.UsageError(f'"{said}" is no number of an output (1, 2, ... or -1, -2, ... from the end)',
                               click.get_current_context())  # fmt: skip
    return int(words[0])


def nth(mine: Jobs, job: str, wanted: int) -> bytes:
    """The name of an output of a job, counted from 1, or from the end. Raises `Problem` if there are not so many."""
    place = wanted - 1
    if wanted < 0:
        place = wanted + int(mine.status_or_archive(job)["stats"]["outputs"])
    found = next(islice(mine.records(job, "out"), place, None), None) if place >= 0 else None
    if found is None:
        total = mine.status_or_archive(job)["stats"]["outputs"]
        raise Problem(f"job {job} has {count(total, 'output')}: there is no output {wanted}")
    return found
