"""mchattr: replace the metadata of objects and directories."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.completion import remote_path
from cli.frame import Command, header_option, role_tag_option, session, tagged
from cli.operands import each


@click.command("mchattr", cls=Command)
@header_option
@role_tag_option
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], headers: dict[str, str], role_tags: Sequence[str]) -> None:
    """Replace the metadata of objects or directories by the headers of -H.

    All metadata (m-*, content-type, cache-control, access-control-*, role tags) is replaced: what is not given again
    is gone. The contents, their MD5 and their etag stay.

    \b
    Example:
      mchattr -H 'm-colour: red' -H 'content-type: text/plain' ~~/stor/lear.txt

    Exit status: 0, or 1 if a path does not exist or the service refuses its metadata; the others are changed.
    """
    from cli.client import objects

    with session() as client:
        each(client, where, lambda path: objects.set_metadata(client, path, tagged(headers, role_tags)))
