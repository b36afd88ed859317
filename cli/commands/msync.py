"""msync: make a directory here and one of the service alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from cli.client import paths
from cli.client.problem import Problem
from cli.completion import local_or_remote_path
from cli.frame import Command, session
from cli.operands import bulk_options, follow_option

if TYPE_CHECKING:
    from cli.bulk.run import Run
    from cli.client.session import Session

Excluded = Callable[[str], bool]


@click.command("msync", cls=Command)
@click.option("-d", "--delete", is_flag=True, help="Remove what is in dest and not in source.")
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Only print what would be done.")
@click.option("-x", "--exclude", "patterns", metavar="PATTERN", multiple=True,
              help="Leave alone what matches this shell pattern: a name, or a path below source.")  # fmt: skip
@click.option("-r", "--reverse", is_flag=True, help="From the service to this machine.")
@click.option("-m", "--md5", is_flag=True, expose_value=False, help="Accepted and ignored: MD5s are always compared.")
@follow_option
@bulk_options
@click.argument("where", metavar="source dest", nargs=-1, shell_complete=local_or_remote_path)
def command(
    where: Sequence[str],
    delete: bool,
    dry: bool,
    patterns: Sequence[str],
    reverse: bool,
    follow: bool,
    parallel: int,
    **options: Any,
) -> None:
    """Copy to dest what is in source and differs there: from this machine to the service, or back.

    One of the two is a path of the service (~~/..., /login/stor/...), the other a directory here. dest is made if
    need be, and gets what is in source, not source itself. A file is sent only if its size or its MD5 differs, so a
    run that was broken off is finished by the same command. -d removes only if all else went well; without -x it
    also replaces a directory by a file of its name, and the other way round. Symbolic links in
    a directory here are left out, unless -L; none is followed when it is written to. Times and modes are not kept.

    \b
    Examples:
      msync texts ~~/stor/texts
      msync ~~/stor/texts texts
      msync -d -n texts ~~/stor/texts        what would be sent and removed
      msync -x '*.tmp' -x .git . ~~/stor/project

    Exit status: 0, or 1 if something could not be copied or removed; the rest is.
    """
    if len(where) != 2:
        raise click.UsageError("must supply exactly 2 operands", click.get_current_context())
    down = reverse or (paths.is_remote(where[0]) and not paths.is_remote(where[1]))
    if not down and not paths.is_remote(where[1]):
        raise click.UsageError("one of source and dest must be a path of the service", click.get_current_context())
    with session() as client:
        from cli.commands.mput import bulk

        run = bulk(client, parallel=parallel, **options)
        excluded, replace = excluding(patterns), delete and not patterns
        if down:
            from_service(client, run, where, parallel, excluded, delete=delete, dry=dry, replace=replace)
        else:
            to_service(client, run, where, parallel, excluded, follow=follow, delete=delete, dry=dry, replace=replace)
        run.end()


def excluding(patterns: Sequence[str]) -> Excluded:
    """Whether a relative path is left out: it, or a directory above it, matches a pattern by path or by name."""

    def excluded(path: str) -> bool:
        while path and patterns:
            if any(fnmatchcase(path, one) or fnmatchcase(os.path.basename(path), one) for one in patterns):
                return True
            path = os.path.dirname(path)
        return False

    return excluded


def to_service(
    client: Session, run: Run, where: Sequence[str], parallel: int, excluded: Excluded,
    *, follow: bool, delete: bool, dry: bool, replace: bool
) -> None:  # fmt: skip
    from cli.bulk.upload import Upload
    from cli.commands.mput import guessed_type

    source, path = where[0], paths.valid(where[1], client.settings.home)
    if paths.is_remote(source) and not os.path.isdir(source):
        raise Problem("both are paths of the service: mcp -r copies within it")
    if not os.path.isdir(source):
        raise Problem(f"{source} is not a directory" if os.path.exists(source) else f"{source} does not exist")
    upload = Upload(client, run, headers_of(guessed_type), follow, excluded, dry, replace=replace)
    there = upload.target(path, make=True)
    with run:
        kept = set(upload.tree(source, path, None, there))
        run.wait()
        if delete and there and not run.counts["failed"]:
            upload.remove_others(path, kept, parallel)


def headers_of(guess: Callable[[str], Mapping[str, str]]) -> Callable[[str], Mapping[str, str]]:
    return lambda path: {**guess(path), "x-durability-level": "2"}


def from_service(
    client: Session,
    run: Run,
    where: Sequence[str],
    parallel: int,
    excluded: Excluded,
    *,
    delete: bool,
    dry: bool,
    replace: bool,
) -> None:
    from cli.bulk.download import Download
    from cli.bulk.local import Target
    from cli.client import objects

    path = paths.valid(where[0], client.settings.home)
    if not objects.info(client, path).is_directory:
        raise Problem(f"{path} is not a directory")
    download = Download(client, run, Target(where[1], make=not dry), parallel, excluded, dry, replace)
    with run:
        kept = set(download.tree(path, ()))
        run.wait()
        if delete and not run.counts["failed"]:
            download.remove_others(kept)
