"""mcp: copy objects and trees within the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.completion import remote_path
from cli.frame import Command, operands, session
from cli.operands import Failures, bulk_options, named


@click.command("mcp", cls=Command)
@click.option("-r", "--recursive", is_flag=True, help="Copy directories with all that is below them.")
@bulk_options
@click.argument("where", metavar="source... dest", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], recursive: bool, **options: Any) -> None:
    """Copy objects within the service, at once and without moving a byte: a copy is a link (see mln).

    If dest is a directory, sources are copied into it under their own names. What is stored under one of the names
    later does not change the other. A source may be a pattern in quotes, see mls.

    \b
    Examples:
      mcp ~~/stor/lear.txt ~~/stor/backup/lear.txt
      mcp '~~/stor/logs/*.log' ~~/public
      mcp -r ~~/stor/texts ~~/stor/backup

    Exit status: 0, or 1 if something could not be copied; the rest is.
    """
    copy(where, recursive=recursive, remove=False, **options)


def copy(where: Sequence[str], *, recursive: bool, remove: bool, parallel: int, **options: Any) -> None:
    """What `mcp` and `mmv` have in common."""
    context = click.get_current_context()
    if len(where) < 2:
        raise click.UsageError("source and dest required", context)
    failures = Failures()
    with session() as client:
        from cli.bulk.copying import Copying
        from cli.commands.mput import bulk

        sources = list(named(client, where[:-1], failures))
        (dest,) = operands(where[-1:], client.settings.home)
        run = bulk(client, parallel=parallel, **options)
        with run:
            Copying(client, run, parallel, remove).all(sources, dest, recursive=recursive)
        run.end()
    failures.end()
