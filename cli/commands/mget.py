"""mget: fetch objects."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import click

from cli.client import paths
from cli.client.problem import Problem
from cli.completion import local_or_remote_path
from cli.frame import Command, header_option, session
from cli.operands import Failures, bulk_options, named
from scheduler.model import names

if TYPE_CHECKING:
    from cli.bulk.run import Run
    from cli.client.session import Session


@click.command("mget", cls=Command)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write to FILE, not to stdout.")
@click.option("-O", "--remote-name", is_flag=True, help="Write to a file with the object's own name.")
@click.option("-d", "--directory", metavar="DIR", type=click.Path(), help="Write into DIR, as the last operand does.")
@click.option("-r", "--recursive", is_flag=True, help="Fetch directories with all that is below them, into DIR.")
@header_option
@bulk_options
@click.argument("where", metavar="path... [dir]", nargs=-1, shell_complete=local_or_remote_path)
def command(
    where: Sequence[str],
    output: str | None,
    remote_name: bool,
    directory: str | None,
    recursive: bool,
    headers: dict[str, str],
    quiet: bool,
    progress: bool,
    parallel: int,
    as_json: bool,
) -> None:
    """Write objects to stdout, one after another, to a file, or into a directory of this machine.

    If the last of several operands is no path of the service (a name such as logs, ./logs or /tmp/logs), it is a
    directory, made if need be, and objects are written in it under their own names; with -r it always is one, by
    default the current one. -r of ~~/stor/d writes DIR/d/... A path may be a pattern in quotes, see mls.

    What is there already with the same size and MD5 is not fetched again, so a run that was broken off is finished by
    the same command. What fails is said, and the rest goes on. No symbolic link in DIR is followed.

    FILE appears whole or not at all. Length and MD5 are checked. A transfer that breaks off is resumed where it
    stopped, as long as the object has not changed meanwhile. A directory gives its listing, as JSON lines.

    \b
    Examples:
      mget ~~/stor/lear.txt | head
      mget -O ~~/stor/all.tgz
      mget -o both.txt ~~/stor/a.txt ~~/stor/b.txt
      mget '~~/stor/logs/*.log' logs       many objects, into the directory logs
      mget -r ~~/stor/texts .              a tree, as ./texts
      mjob outputs $job | xargs mget -d results
      mget -H 'range: bytes=0-99' ~~/stor/lear.txt

    Exit status: 0, or 1 if an object is missing or did not arrive whole.
    """
    failures = Failures()
    with session() as client:
        if directory is None:
            where, directory = sorted_out(where, recursive=recursive)
        if directory is not None and (output or remote_name):
            raise click.UsageError("a directory, -o and -O exclude each other", click.get_current_context())
        if directory is not None and headers:
            raise click.UsageError("-H cannot be had with a directory", click.get_current_context())
        sources = list(named(client, where, failures, relative=False))
        if directory is not None:
            from cli.commands.mput import bulk

            run = bulk(client, quiet=quiet, progress=progress, parallel=parallel, as_json=as_json)
            fetch_all(client, run, sources, directory, recursive=recursive, parallel=parallel)
            run.end()
            failures.end()
            return
        if remote_name:
            if len(sources) != 1:
                raise click.UsageError(
                    "--remote-name only works with a single object path", click.get_current_context()
                )
            output = own_name(sources[0])
        wanted = progress or (False if quiet or (output is None and sys.stdout.isatty()) else None)
        if output is None:
            for source in sources:
                with failures.said():
                    fetch(client, [source], sys.stdout.buffer.write, headers, wanted)
            sys.stdout.buffer.flush()
        elif not failures.any:
            with Target(output) as target:
                fetch(client, sources, target.write, headers, wanted)
    failures.end()


def sorted_out(where: Sequence[str], *, recursive: bool) -> tuple[Sequence[str], str | None]:
    """The paths of the service, and the directory of this machine that they go to; None for stdout or a file."""
    if len(where) > 1 and (recursive or not paths.is_remote(where[-1])):
        return where[:-1], where[-1]
    return where, "." if recursive else None


def fetch_all(
    client: Session, run: Run, sources: Sequence[str], directory: str, *, recursive: bool, parallel: int
) -> None:
    """Fetch objects and, with `recursive`, directories into `directory`. Raises `Problem`."""
    from cli.bulk.copying import check_distinct
    from cli.bulk.download import Download
    from cli.bulk.local import Target as Into
    from cli.client import objects
    from cli.commands.mls import object_entry

    check_distinct({source: names.split(source)[1] for source in sources})
    download = Download(client, run, Into(directory), parallel)
    with run:
        for source in sources:
            try:
                found = objects.info(client, source)
                name = names.split(source)[1]
                if not found.is_directory:
                    download.one(source, object_entry(found), (name,))
                elif recursive:
                    download.whole(source, (name,))
                else:
                    raise Problem(f"{source} is a directory (-r fetches it with all that is below)")
            except (Problem, OSError) as error:
                run.fail(source, error)


def own_name(path: str) -> str:
    """The file that -O writes. Raises `Problem`: who named the object must not choose what a link leads to."""
    name = f"./{names.split(path)[1]}"
    if os.path.lexists(name) and (os.path.islink(name) or not os.path.isfile(name)):
        raise Problem(f"{name} is there and is no regular file: choose another with -o")
    return name


class Target:
    """A file that appears whole or not at all: it is written under another name beside, and renamed at the end.

    What is a link or no regular file (`/dev/stdout`, a pipe) is written as it is, and so is a file in a directory that
    lets nothing new be made. Nothing is touched before there is something to write: what is not found empties nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._part = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> Target:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.write(b"")
            if self._file:
                self._file.close()
            if self._part and kind is None:
                os.replace(self._part, self._name)
                self._part = ""
        finally:
            if self._part:
                os.unlink(self._part)

    def write(self, data: bytes) -> None:
        self._file = self._file or self._open()
        self._file.write(data)

    def _open(self) -> BinaryIO:
        there = os.path.lexists(self._name)
        if not there or (os.path.isfile(self._name) and not os.path.islink(self._name)):
            with suppress(PermissionError):
                return self._open_beside(keep_mode=there)
        return open(self._name, "wb")

    def _open_beside(self, *, keep_mode: bool) -> BinaryIO:
        part = os.path.join(os.path.dirname(self._name), f".mget-{os.getpid()}.part")
        try:
            file = open(part, "xb")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            error.filename = self._name
            raise
        self._part = part
        if keep_mode:
            os.fchmod(file.fileno(), stat.S_IMODE(os.stat(self._name).st_mode))
        return file


def fetch(
    client: Session, sources: list[str], write: Callable[[bytes], object], headers: dict[str, str], show: bool | None
) -> None:
    """Hand the contents of all `sources` to `write`."""
    from cli.client.transfer import Download
    from cli.meter import ByteMeter

    for path in sources:
        with ByteMeter(names.split(path)[1], None, show=show) as meter:
            download = Download(client, path, write)

            def moved(count: int, meter: ByteMeter = meter, download: Download = download) -> None:
                meter.total = download.total
                meter(count)

            download.progress = moved
            download.run(headers)
