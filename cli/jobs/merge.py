"""mjob merge: put objects together, without reading them where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.frame import Command, note
from cli.jobs import operations
from cli.jobs.common import jobs


@click.command("merge", cls=Command)
@click.option("--ordered", is_flag=True, help="The inputs one after another, as cat. [default]")
@click.option("--unordered", is_flag=True, help="The inputs in any order.")
@click.option("--combine", is_flag=True, help="Rewrite them into parts of --part-size.")
@click.option("--part-size", type=operations.Size(), metavar="SIZE", help="With --combine. [default: 1G]")
@operations.output_options
@operations.run_options
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    inputs: Sequence[str], ordered: bool, unordered: bool, combine: bool, part_size: int | None, **options: Any
) -> None:
    """Put objects together: into a set of parts, or into one object.

    A set is a directory of parts, whose names are in their order. Its parts are the inputs' own bytes: nothing is read
    or copied, however large they are. With --combine they are rewritten into parts of about --part-size, cut at line
    ends; an object as the target is always written anew. All of it appears at once, or nothing does.

    INPUT is an object, or a directory that ends in a slash: all objects in it. Without INPUT the names are read from
    stdin. The target may be an input, too.

    \b
    Examples:
      mjob merge -o ~~/stor/all/ ~~/stor/january/ ~~/stor/february/    a set of the parts of both
      mjob merge -o ~~/stor/all.log ~~/stor/january/                   one object, as cat does it
      mjob merge --append -o ~~/stor/all/ ~~/stor/march/               one month more
      mjob merge --combine --replace -o ~~/stor/all/ ~~/stor/all/      fewer and larger parts

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    if ordered and unordered:
        raise click.UsageError("--ordered and --unordered exclude each other", click.get_current_context())
    if part_size and not combine:
        raise click.UsageError("--part-size is for --combine", click.get_current_context())
    with jobs() as mine:
        run = operations.taken(options, mine.session.settings.home)
        if "output" not in run.keys:
            raise click.UsageError("say with -o where to put it", click.get_current_context())
        spec = {"mode": "unordered" if unordered else "ordered"}
        if not (ordered or unordered or run.quiet):
            note("mjob merge: in the order of the inputs (--ordered)")
        more = {"combine": combine, "part_size": part_size}
        operations.perform(mine, "merge", spec | {key: value for key, value in more.items() if value}, inputs, run)
