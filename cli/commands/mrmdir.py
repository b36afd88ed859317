"""mrmdir: remove empty directories."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command, agreed, check_interactive, session
from cli.operands import each


@click.command("mrmdir", cls=Command)
@click.option("-I", "--interactive", is_flag=True, help="Ask before each removal. Needs a terminal.")
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], interactive: bool) -> None:
    """Remove directories that are empty. (mrm -r removes those that are not.)

    \b
    Example:
      mrmdir ~~/stor/logs/2025 ~~/stor/logs

    Exit status: 0, or 1 if a path is no directory, is not empty, or does not exist; the others are removed.
    """
    from cli.client import objects

    check_interactive(interactive)
    with session() as client:

        def remove(path: str) -> None:
            if not objects.info(client, path).is_directory:
                raise Problem(f"{path} is not a directory")
            if not interactive or agreed(f"remove directory `{path}`"):
                objects.remove(client, path)

        each(client, where, remove)
