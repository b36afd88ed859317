"""mfind: walk directories and print what matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Refused
from cli.completion import remote_path
from cli.frame import Command, note, say_tilde, session
from cli.operands import Failures, named
from cli.output import null_option, print_name
from scheduler.model import names

if TYPE_CHECKING:
    from cli.client.session import Session
    from cli.client.tree import Found


@click.command("mfind", cls=Command)
@click.option("-n", "--name", "pattern", metavar="REGEX", help="Base name matches REGEX anywhere.")
@click.option("-g", "--glob", metavar="PATTERN", help="Base name matches the shell pattern PATTERN, whole: '*.log'.")
@click.option("-t", "--type", "kind", type=click.Choice(["d", "o"]), help="Directories only, or objects only.")
@click.option("-s", "--size", type=click.IntRange(min=0), metavar="N", help="Objects of at least N bytes.")
@click.option("--mindepth", type=click.IntRange(min=0), default=0, metavar="N", help="Depth N or more; children are 0.")
@click.option("--maxdepth", type=click.IntRange(min=0), metavar="N", help="Depth below N; 1 is the children only.")
@click.option("-l", "--limit", type=click.IntRange(min=0), metavar="N", help="Stop after N results.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Listings at once.")  # fmt: skip
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per line.")
@null_option("End each path with NUL instead of a line break.", "--print0")
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], as_json: bool, null: bool, limit: int | None, **filters: Any) -> None:
    """Print the full path of everything below the given directories, in no particular order.

    Only what passes all filters is printed; filters do not keep the walk from going deeper. A path that is an object
    is printed itself. The output is what mjob create reads. Without a terminal, a path with a line break is left out,
    unless -0 or -j.

    \b
    Examples:
      mfind -t o ~~/stor                            all objects
      mfind -t o -g '*.log' ~~/stor | mjob create -o -m wc   count every log
      mfind -t o -n '\\.(log|txt)$' ~~/stor         a regular expression
      mfind --maxdepth 1 -t d ~~/stor               directories right below
      mfind -t o -s 1000000 -j ~~/public            large objects, as JSON
      mfind -t o -0 ~~/public | xargs -0 -r mmd5    whatever the names are

    Exit status: 0, or 1 if a path does not exist or may not be listed, or one was left out; the
    others are still printed.
    """
    wanted = matcher(**filters)
    failures = Failures()
    with session() as client:
        found = (
            one
            for root in named(client, where, failures)
            for one in below(client, root, filters["parallel"], filters["maxdepth"], failures)
        )
        with closing(found):
            for one in islice(filter(wanted, found), limit):
                if as_json:
                    print(line(one))
                else:
                    print_name(one.path, null=null)
    failures.end()


def line(found: Found) -> str:
    return text.compact({**found.entry, "parent": found.parent, "depth": found.depth})


def matcher(
    pattern: str | None,
    glob: str | None,
    kind: str | None,
    size: int | None,
    mindepth: int,
    maxdepth: int | None,
    parallel: int,
) -> Callable[[Found], bool]:
    """Whether an entry of the walk is to be printed. Raises a usage error for a bad pattern."""
    try:
        regex = re.compile(pattern or "")
    except re.error as error:
        hint = " (for shell patterns: --glob)" if set("*?") & set(pattern or "") else ""
        raise click.BadParameter(f"{pattern!r} is no regular expression: {error}{hint}", param_hint="--name") from None

    def wanted(found: Found) -> bool:
        is_object = found.entry["type"] != "directory"
        return bool(
            found.depth >= mindepth
            and (maxdepth is None or found.depth < maxdepth)
            and (kind is None or is_object == (kind == "o"))
            and (size is None or not is_object or int(found.entry["size"]) >= size)
            and regex.search(found.entry["name"])
            and (glob is None or fnmatchcase(found.entry["name"], glob))
        )

    return wanted


def below(client: Session, path: str, parallel: int, maxdepth: int | None, failures: Failures) -> Iterator[Found]:
    """What is below `path`, or the object that it is. A path that may not be seen is said, and is one of `failures`."""
    from cli.client import objects
    from cli.client.tree import Found, Walk
    from cli.commands.mls import object_entry

    try:
        found = objects.info(client, path)
    except Refused as error:
        note(f"mfind: in {names.as_line(path)}: {'NotFoundError' if error.status == 404 else error}")
        say_tilde(click.get_current_context(), error)
        failures.any = True
        return
    if not found.is_directory:
        yield Found(path, names.split(path)[0], 0, object_entry(found))
    else:
        with closing(Walk(client, path, parallel, maxdepth)) as walk:
            yield from walk.results()
