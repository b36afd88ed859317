"""mchmod: change role tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem, Refused
from cli.client.settings import words
from cli.completion import remote_path
from cli.frame import Command, session
from cli.operands import each

if TYPE_CHECKING:
    from cli.client.session import Session


@click.command("mchmod", cls=Command)
@click.argument("where", metavar="-- [+-=]role,... path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str]) -> None:
    """Change the role tags of objects or directories: + adds roles, - takes them away, = sets them.

    To add and to take away, the present tags are read first. Other metadata (m-*) is not kept: a change of metadata
    replaces all of it. A service without roles refuses every tag.

    \b
    Examples:
      mchmod -- +readers,writers ~~/stor/lear.txt
      mchmod -- -writers ~~/stor/lear.txt
      mchmod -- =readers ~~/stor/a ~~/stor/b

    Exit status: 0, or 1 if a path does not exist or the service refuses its tags; the others are changed.
    """
    from cli.client import objects

    with session() as client:
        operation, roles = (where[0][:1], words(where[0][1:])) if where else ("", ())
        if operation not in ("+", "-", "="):
            raise click.UsageError('operation should be one of "+", "-" or "="', click.get_current_context())

        def change(path: str) -> None:
            present = [] if operation == "=" else tags(client, path, operation)
            objects.set_metadata(client, path, {"role-tag": ",".join(changed(present, operation, roles))})

        each(client, where[1:], change)


def tags(client: Session, path: str, operation: str) -> Sequence[str]:
    """The role tags of `path`. Raises `Problem`."""
    from cli.client import objects

    try:
        return words(objects.info(client, path).headers.get("role-tag", ""))
    except Refused as error:
        if error.name == "AuthorizationFailedError":
            raise Problem(f"getobject access required for mchmod {operation}") from None
        raise


def changed(present: Sequence[str], operation: str, roles: Sequence[str]) -> list[str]:
    """The tags after the operation, each once."""
    if operation == "-":
        return [tag for tag in present if tag not in roles]
    return list(dict.fromkeys([*present, *roles]))
