"""mmv: move or rename objects and trees within the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.commands.mcp import copy
from cli.completion import remote_path
from cli.frame import Command
from cli.operands import bulk_options


@click.command("mmv", cls=Command)
@bulk_options
@click.argument("where", metavar="source... dest", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], **options: Any) -> None:
    """Move objects and directories within the service, without moving a byte: a link (see mln), then a removal.

    If dest is a directory, sources are moved into it under their own names. A directory is moved object by object, so
    a move that was broken off is finished by the same command, and what others store there meanwhile stays. A source
    may be a pattern in quotes, see mls.

    \b
    Examples:
      mmv ~~/stor/lear.txt ~~/stor/king_lear.txt
      mmv '~~/stor/*.log' ~~/stor/logs
      mmv ~~/stor/texts ~~/stor/plays

    Exit status: 0, or 1 if something could not be moved, which is then where it was; the rest is moved.
    """
    copy(where, recursive=True, remove=True, **options)
