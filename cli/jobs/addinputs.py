"""mjob addinputs: more inputs for jobs whose input is open."""

from __future__ import annotations

import sys

import click

from cli.client.transport.patience import Patience
from cli.frame import Command, note
from cli.jobs.common import ids, job_argument, jobs
from cli.jobs.follow.interruption import ADDING, interruptible
from cli.output import null_option


@click.command("addinputs", cls=Command)
@click.option("-b", "--batch", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
              help="Inputs per request.")  # fmt: skip
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=25, show_default=True, metavar="N",
              help="Requests at once.")  # fmt: skip
@click.option("-o", "--open", "keep_open", is_flag=True, help="Leave the input open afterwards.")
@null_option("Names on stdin end in NUL.", "--null")
@click.option("-q", "--quiet", is_flag=True, help='No "added ..." lines.')
@job_argument
def command(job: tuple[str, ...], batch: int, parallel: int, keep_open: bool, null: bool, quiet: bool) -> None:
    """Add the objects named on stdin, one a line, to all the jobs given; then end their input, unless --open.

    A name with a line break in it cannot be an input: it is left out, and the exit status is 1.

    \b
    Examples:
      job=$(mjob create --open -m wc)
      mfind -t o ~~/stor/january | mjob addinputs --open $job
      mfind -t o ~~/stor/february | mjob addinputs $job
    """
    from cli.jobs.documents.input_names import pour, typed

    with jobs() as mine:
        wanted = ids(mine, job)
        mine.session.patience = Patience(note)
        named = typed(sys.stdin.fileno(), batch, mine.session.settings.home, null=null)
        with interruptible(wanted, ADDING):
            pour(mine, wanted, named, parallel=parallel, quiet=quiet)
            if not keep_open:
                for one in wanted:
                    mine.end_input(one)
