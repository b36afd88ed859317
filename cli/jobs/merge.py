"""mjob merge: put objects together, without reading them where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.frame import Command, note
from cli.jobs import operations
from cli.jobs.common import jobs


class Merge(Command):
    """A command whose -k is that of `sort`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in self.params:
            if option.name != "keys":
                option.opts = [name for name in option.opts if name != "-k"]


@click.command("merge", cls=Merge)
@click.option("--ordered", is_flag=True, help="The inputs one after another, as cat. [default]")
@click.option("--unordered", is_flag=True, help="The inputs in any order.")
@click.option("--sorted", "is_sorted", is_flag=True, help="The inputs are sorted: so is what is made of them.")
@click.option("-k", "--key", "keys", metavar="KEYDEF", multiple=True, help="With --sorted: a key, as of sort: 2,2n.")
@click.option("-t", "--field-separator", "separator", metavar="SEP", help="With --sorted: the byte between fields.")
@click.option("--combine", is_flag=True, help="Rewrite them into parts of --part-size.")
@click.option("--part-size", type=operations.Size(), metavar="SIZE", help="With --combine. [default: 1G]")
@operations.output_options
@operations.run_options
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    inputs: Sequence[str],
    ordered: bool,
    unordered: bool,
    is_sorted: bool,
    keys: Sequence[str],
    separator: str | None,
    combine: bool,
    part_size: int | None,
    **options: Any,
) -> None:
    """Put objects together: into a set of parts, or into one object.

    A set is a directory of parts, whose names are in their order. Its parts are the inputs' own bytes: nothing is read
    or copied, however large they are. With --combine they are rewritten into parts of about --part-size, cut at line
    ends; an object as the target is always written anew. All of it appears at once, or nothing does.

    With --sorted each input must be sorted, by whole lines or by -k, as `LC_ALL=C sort` has it, and the result is what
    `sort -m` makes of them. An input that is not sorted ends the operation, which says where.

    INPUT is an object, or a directory that ends in a slash: all objects in it. Without INPUT the names are read from
    stdin. The target may be an input, too.

    \b
    Examples:
      mjob merge -o ~~/stor/all/ ~~/stor/january/ ~~/stor/february/    a set of the parts of both
      mjob merge -o ~~/stor/all.log ~~/stor/january/                   one object, as cat does it
      mjob merge --append -o ~~/stor/all/ ~~/stor/march/               one month more
      mjob merge --combine --replace -o ~~/stor/all/ ~~/stor/all/      fewer and larger parts
      mjob merge --sorted -k1,1 -o ~~/stor/both ~~/stor/january/ ~~/stor/february/

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    if ordered + unordered + is_sorted > 1:
        raise click.UsageError("say one of --ordered, --unordered and --sorted", click.get_current_context())
    if (keys or separator) and not is_sorted:
        raise click.UsageError("-k and -t are for --sorted", click.get_current_context())
    if part_size and not combine:
        raise click.UsageError("--part-size is for --combine", click.get_current_context())
    with jobs() as mine:
        run = operations.taken(options, mine.session.settings.home)
        if "output" not in run.keys:
            raise click.UsageError("say with -o where to put it", click.get_current_context())
        spec: dict[str, Any] = {"mode": "sorted" if is_sorted else "unordered" if unordered else "ordered"}
        if not (ordered or unordered or is_sorted or run.quiet):
            note("mjob merge: in the order of the inputs (--ordered)")
        more = {"combine": combine, "part_size": part_size, "sort_by": list(keys), "separator": separator}
        operations.perform(mine, "merge", spec | {key: value for key, value in more.items() if value}, inputs, run)
