"""mln: give an object a second name."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.completion import remote_path
from cli.frame import Command, operands, role_tag_option, session, tagged


@click.command("mln", cls=Command)
@role_tag_option
@click.argument("where", metavar="source dest", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], role_tags: Sequence[str]) -> None:
    """Give the object at source a second name, dest, at once and without copying (a SnapLink).

    Both names hold the same bytes from then on; storing something under one of them does not change the other.

    \b
    Example:
      mln ~~/stor/today.log ~~/stor/2026-11-20.log

    Exit status: 0, or 1 if there is no such object or dest cannot be made.
    """
    from cli.client import objects

    with session() as client:
        named = operands(where, client.settings.home)
        if len(named) != 2:
            reason = "source and dest only" if named[2:] else "dest required"
            raise click.UsageError(reason, click.get_current_context())
        objects.link(client, named[0], named[1], tagged({}, role_tags))
