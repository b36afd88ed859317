"""mrm: remove objects, or whole directories."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli import text
from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command, agreed, check_interactive, session
from cli.operands import each


@click.command("mrm", cls=Command)
@click.option("-r", "--recursive", is_flag=True, help="Remove directories and all that is below them.")
@click.option("-I", "--interactive", is_flag=True, help="Ask before each removal. Needs a terminal.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Removals at once, with -r.")  # fmt: skip
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], recursive: bool, interactive: bool, parallel: int) -> None:
    """Remove objects; with -r, directories too. There is no way back.

    A path may be a pattern in quotes, see mls.

    \b
    Examples:
      mrm ~~/stor/lear.txt
      mrm -r ~~/stor/logs/2025
      mrm -I ~~/stor/a ~~/stor/b
      mrm '~~/stor/logs/*.tmp'

    Exit status: 0, or 1 if a path does not exist or could not be removed; the others are removed.
    """
    from cli.client import objects

    check_interactive(interactive)
    with session() as client:

        def remove(path: str) -> None:
            directory = objects.info(client, path).is_directory
            if directory and not recursive:
                raise Problem(f"{path} is not an object")
            what = "recursively remove directory" if directory else "remove object"
            if interactive and not agreed(f"{what} `{text.escape(path)}`"):
                return
            if directory:
                objects.remove_tree(client, path, parallel)
            else:
                objects.remove(client, path)

        each(client, where, remove)
