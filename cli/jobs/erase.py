"""mjob erase: remove lines of an object or of a set, or all of them."""

from __future__ import annotations

from typing import Any

import click

from cli.completion import remote_path
from cli.frame import Command
from cli.jobs import operations
from cli.jobs.common import jobs


@click.command("erase", cls=Command)
@click.option("--lines", metavar="A-B", help="Only these, from 1: 11-100; or from 0, without the last: #10:#100.")
@operations.run_options
@click.argument("path", metavar="PATH", shell_complete=remote_path)
def command(path: str, lines: str | None, **options: Any) -> None:
    """Remove lines of an object in place. Without --lines it is emptied, and stays as an empty object.

    PATH may be a set, a directory that ends in a slash: its parts count as one object, in the order of their names.
    Without --lines all its parts go; with them the lines that are left become one part. Readers see what was there
    until the new takes its place.

    \b
    Examples:
      mjob erase --lines 1-1 ~~/stor/table.csv         without its header
      mjob erase --lines '#10:#100' ~~/stor/set/       records 10 to 99, counted from 0
      mjob erase ~~/stor/set/                          an empty set

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    with jobs() as mine:
        run = operations.taken(options, mine.session.settings.home, prints=False)
        operations.perform(mine, "erase", {"lines": lines} if lines else {}, [path], run)
