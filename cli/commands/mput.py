"""mput: store files, trees of files, or stdin, as objects."""

from __future__ import annotations

import mimetypes
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cli.client import paths
from cli.client.problem import Problem, Refused
from cli.completion import local_or_remote_path
from cli.frame import Command, header_option, operands, role_tag_option, session, tagged
from cli.operands import bulk_options, follow_option
from scheduler.model import names

if TYPE_CHECKING:
    from cli.bulk.run import Run
    from cli.client.session import Session

Headers = Callable[[str], Mapping[str, str]]


@click.command("mput", cls=Command)
@click.option("-c", "--copies", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="Copies to keep.")  # fmt: skip
@click.option("-f", "--file", "files", metavar="FILE", type=click.Path(), multiple=True,
              help="Local file to store; without any file, stdin. Repeatable.")  # fmt: skip
@click.option("-r", "--recursive", is_flag=True, help="Store directories with all that is below them.")
@follow_option
@header_option
@click.option("-m", "--md5", is_flag=True, help="Send the file's MD5, which the service checks. Needs a file.")
@click.option("-p", "--parents", is_flag=True, help="Make missing parent directories.")
@bulk_options
@role_tag_option
@click.argument("where", metavar="[file...] path", nargs=-1, shell_complete=local_or_remote_path)
def command(
    where: Sequence[str],
    copies: int,
    files: Sequence[str],
    recursive: bool,
    follow: bool,
    headers: dict[str, str],
    md5: bool,
    parents: bool,
    role_tags: Sequence[str],
    quiet: bool,
    progress: bool,
    parallel: int,
    as_json: bool,
) -> None:
    """Store local files, or what comes on stdin, as objects.

    If path is a directory, files are stored in it under their own names. Several files, and -r, need a directory; -p
    and -r make it. The content type is guessed from the name's extension unless -H gives one. An object replaces what
    had its name, at once and whole.

    With several files or -r, what is there already with the same size and MD5 is not sent again, so a run that was
    broken off is finished by the same command. Files that fail are said, and the rest goes on. Symbolic links in a
    directory are left out, unless -L. -r with a directory d stores path/d/...; with . or d/. what is in it.

    A file is sent again if the connection breaks or the service is restarted (for up to 30 s); stdin cannot be. A
    pipe may be silent for hours.

    \b
    Examples:
      mput -f lear.txt ~~/stor                    as ~~/stor/lear.txt
      mput -p -f lear.txt ~~/stor/plays/2026/lear.txt
      mput *.log ~~/stor/logs/                    many files
      mput -r texts logs ~~/stor                  trees, as ~~/stor/texts and ~~/stor/logs
      tar cz . | mput -H 'content-type: application/gzip' ~~/stor/all.tgz

    Exit status: 0, or 1 if an object was not stored; nothing is left of it then.
    """
    context = click.get_current_context()
    with session() as client:
        sources, path = sorted_out(where, files, client.settings.home)
        if md5 and not sources:
            raise click.UsageError("--md5 requires --file", context)
        kept = {"x-durability-level": str(copies), **tagged(headers, role_tags)}
        if len(sources) > 1 or recursive:
            run = bulk(client, quiet=quiet, progress=progress, parallel=parallel, as_json=as_json)
            store_all(client, run, sources, path, lambda name: {**guessed_type(name), **kept},
                      recursive=recursive, follow=follow, make=parents or recursive, md5=md5)  # fmt: skip
            run.end()
            return
        file = sources[0] if sources else None
        if file is not None and not os.path.isfile(file):
            raise not_a_file(file)
        target = destination(client, path, file, parents)
        store(
            client, target, file, {**guessed_type(target), **kept}, md5=md5, show=progress or (False if quiet else None)
        )


def sorted_out(where: Sequence[str], files: Sequence[str], home: str) -> tuple[list[str], str]:
    """The local files, and the path that they go to: the last operand. Raises a usage error if there is none."""
    return [*files, *where[:-1]], operands(where[-1:], home, relative=False)[0]


def not_a_file(file: str) -> Problem:
    if os.path.isdir(file):
        return Problem(f"{file} is not a file (-r stores directories)")
    return Problem(f"{file} is not a file" if os.path.exists(file) else f"{file} does not exist")


def bulk(client: Session, *, quiet: bool, progress: bool, parallel: int, as_json: bool) -> Run:
    from cli.bulk.run import Run

    return Run(click.get_current_context().command_path, parallel, quiet=quiet, as_json=as_json, progress=progress)


def store_all(
    client: Session, run: Run, sources: Sequence[str], path: str, headers: Headers,
    *, recursive: bool, follow: bool, make: bool, md5: bool
) -> None:  # fmt: skip
    """Store files and, with `recursive`, directories in the directory `path`. Raises `Problem`."""
    from cli.bulk.copying import check_distinct
    from cli.bulk.upload import Upload

    if not sources:
        raise click.UsageError("-r requires a directory", click.get_current_context())
    own = {source: own_name(source) for source in sources}
    check_distinct(own)
    upload = Upload(client, run, headers, follow, md5=md5)
    there = upload.target(path, make=make)
    with run:
        files = []
        for source, name in own.items():
            target = f"{path}/{name}" if name else path
            if recursive and os.path.isdir(source):
                for _ in upload.tree(source, target, there.get(name), None if name else there):
                    continue
            elif os.path.isfile(source):
                files.append((source, target, there.get(name)))
            else:
                run.fail(target, not_a_file(source), source)
        upload.some(files)


def own_name(source: str) -> str:
    """The name that a file or a directory has in its target; none for `.`, `..` and `d/.`: what is in it is meant."""
    name = os.path.basename(source.rstrip("/"))
    return "" if name in (".", "..") else name


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
