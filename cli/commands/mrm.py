"""mrm: remove objects, or whole directories."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli import text
from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command, agreed, check_interactive, operands, session


@click.command("mrm", cls=Command)
@click.option("-r", "--recursive", is_flag=True, help="Remove directories and all that is below them.")
@click.option("-I", "--interactive", is_flag=True, help="Ask before each removal. Needs a terminal.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Removals at once, with -r.")  # fmt: skip
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], recursive: bool, interactive: bool, parallel: int) -> None:
    """Remove objects; with -r, directories too. There is no way back.

    \b
    Examples:
      mrm ~~/stor/lear.txt
      mrm -r ~~/stor/logs/2025
      mrm -I ~~/stor/a ~~/stor/b

    Exit status: 0, or 1 at the first path that does not exist or could not be removed.
    """
    from cli.client import objects

    check_interactive(interactive)
    with session() as client:
        for path in operands(where, client.settings.home):
            directory = objects.info(client, path).is_directory
            if directory and not recursive:
                raise Problem(f"{path} is not an object")
            what = "recursively remove directory" if directory else "remove object"
            if interactive and not agreed(f"{what} `{text.escape(path)}`"):
                continue
            if directory:
                objects.remove_tree(client, path, parallel)
            else:
                objects.remove(client, path)
