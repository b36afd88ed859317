"""mput: store a file, or stdin, as an object."""

from __future__ import annotations

import mimetypes
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.client import paths
from cli.client.problem import Problem, Refused
from cli.completion import remote_path
from cli.frame import Command, header_option, operands, role_tag_option, session, tagged
from scheduler.model import names

if TYPE_CHECKING:
    from cli.client.session import Session


@click.command("mput", cls=Command)
@click.option("-c", "--copies", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="Copies to keep.")  # fmt: skip
@click.option("-f", "--file", metavar="FILE", type=click.Path(), help="Local file to store; without it, stdin.")
@header_option
@click.option("-m", "--md5", is_flag=True, help="Send the file's MD5, which the service checks. Needs -f.")
@click.option("-p", "--parents", is_flag=True, help="Make missing parent directories.")
@click.option("-q", "--quiet", is_flag=True, help="No progress line.")
@click.option("--progress", is_flag=True, help="A progress line even if stderr is no terminal.")
@role_tag_option
@click.argument("where", metavar="path", nargs=-1, shell_complete=remote_path)
def command(
    where: Sequence[str],
    copies: int,
    file: str | None,
    headers: dict[str, str],
    md5: bool,
    parents: bool,
    quiet: bool,
    progress: bool,
    role_tags: Sequence[str],
) -> None:
    """Store a local file, or what comes on stdin, as an object.

    If path is a directory, -f stores the file in it under its own name. The content type is guessed from the name's
    extension unless -H gives one. The object replaces what had its name, at once and whole. A file is sent again if
    the connection breaks; stdin cannot be.

    \b
    Examples:
      mput -f lear.txt ~~/stor                    as ~~/stor/lear.txt
      mput -p -f lear.txt ~~/stor/plays/2026/lear.txt
      tar cz . | mput -H 'content-type: application/gzip' ~~/stor/all.tgz

    Exit status: 0, or 1 if the object was not stored; nothing is left of it then.
    """
    if md5 and not file:
        raise click.UsageError("--md5 requires --file", click.get_current_context())
    if file and not os.path.isfile(file):
        raise Problem(f"{file} is not a file" if os.path.exists(file) else f"{file} does not exist")
    with session() as client:
        targets = operands(where, client.settings.home)
        if len(targets) > 1:
            raise click.UsageError("only one path may be given", click.get_current_context())
        target = destination(client, targets[0], file, parents)
        headers = {**guessed_type(target), "x-durability-level": str(copies), **tagged(headers, role_tags)}
        store(client, target, file, headers, md5=md5, show=progress or (False if quiet else None))


def destination(client: Session, path: str, file: str | None, parents: bool) -> str:
    """Where the object goes: into `path` if that is a directory. Sees that its directory is there."""
    from cli.client import objects, transfer

    found = objects.info_or_none(client, path)
    if found and found.is_directory:
        if not file:
            raise Problem("cannot infer name without -f")
        return paths.expand(f"{path}/{os.path.basename(file)}", "")
    if not found:
        transfer.check_parent(client, path, make=parents)
    return path


def guessed_type(path: str) -> dict[str, str]:
    kind = mimetypes.guess_type(names.split(path)[1], strict=False)[0]
    kind = kind or os.environ.get("MANTA_DEFAULT_CONTENT_TYPE")
    return {"content-type": kind} if kind else {}


def store(
    client: Session, path: str, file: str | None, headers: dict[str, str], *, md5: bool, show: bool | None
) -> None:
    from cli.client import transfer
    from cli.meter import ByteMeter

    total = os.path.getsize(file) if file else None
    try:
        with ByteMeter(names.split(path)[1], total, show=show) as meter:
            if not file:
                transfer.put_stream(client, path, sys.stdin.buffer, headers, meter)
                return
            if md5:
                headers["content-md5"] = transfer.file_md5(file)
            transfer.put_file(client, path, file, headers, meter)
    except Refused as error:
        raise explained(error) from None


def explained(error: Refused) -> Problem:
    """Two refusals that have a sentence of their own."""
    if error.name in ("OperationNotAllowedOnDirectoryError", "OperationNotAllowedOnRootDirectoryError"):
        return Problem("Cannot write to a directory; specify full object path")
    if error.status == 412:
        return Problem("Cannot write because HTTP precondition not met.")
    return error
