"""mmkdir: make directories."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.completion import remote_path
from cli.frame import Command, header_option, role_tag_option, session, tagged
from cli.operands import each


@click.command("mmkdir", cls=Command)
@header_option
@click.option("-p", "--parents", is_flag=True, help="Make missing parent directories too.")
@role_tag_option
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], headers: dict[str, str], parents: bool, role_tags: Sequence[str]) -> None:
    """Make directories. A directory that is there already is no error; without -p its parent must exist.

    \b
    Examples:
      mmkdir ~~/stor/logs
      mmkdir -p ~~/stor/logs/2026/11

    Exit status: 0, or 1 if a directory could not be made; the others are.
    """
    from cli.client import objects

    with session() as client:

        def make(path: str) -> None:
            if parents:
                objects.make_parents(client, path)
            objects.make_directory(client, path, tagged(headers, role_tags))

        each(client, where, make, patterns=False)
