"""mjob logs: what tasks that failed said on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli.client.patience import Patience
from cli.client.problem import Problem, Refused
from cli.frame import Command, note
from cli.jobs.common import complete_job, jobs, only
from cli.jobs.leaving import WATCHING, telling_of
from cli.text import escape

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Record = dict[str, Any]
PAUSE = 1.0  # between two looks at the errors of a job that runs


@click.command("logs", cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on with what fails from now on, until the job is done.")
@click.argument("words", metavar="job [text]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], follow: bool) -> None:
    """Print what the tasks of a job that failed said on stderr, each after a line that names it and its error.

    With a text, only tasks whose input or error contains it. The stderr of tasks that succeed is not kept, and that
    of a running task is not to be had before it ends.

    \b
    Examples:
      mjob logs last
      mjob logs last access.log
      mjob logs -f last
    """
    if len(words) > 2:
        raise click.UsageError("a job, and at most one text", click.get_current_context())
    with jobs() as mine:
        job = only(mine, words[:1])
        wanted = words[1] if words[1:] else ""
        if not follow:
            show_all(mine, mine.records(job, "err"), wanted)
            return
        mine.session.patience = Patience(note)
        with telling_of(job, WATCHING):
            show_until_done(mine, job, wanted)


def show_until_done(mine: Jobs, job: str, wanted: str) -> None:
    """Show errors as they come. What came between the last look and the end is shown after the end."""
    shown = 0
    while True:
        done = mine.status_or_archive(job)["state"] == "done"
        shown += show_all(mine, islice(mine.records(job, "err"), shown, None), wanted)
        if done:
            return
        time.sleep(PAUSE)


def show_all(mine: Jobs, lines: Iterator[bytes], wanted: str) -> int:
    """Show the errors that contain a text; how many were looked at."""
    number = 0
    for number, line in enumerate(lines, 1):  # noqa: B007 (the last one is the result)
        record = json.loads(line)
        if wanted in f"{record.get('what')} {record.get('message')}":
            show(mine, record)
    return number


def show(mine: Jobs, record: Record) -> None:
    print(f"==> {escape(str(record.get('what')))}: {escape(str(record.get('message')))} <==", flush=True)
    if record.get("stderr"):
        print_stderr(mine, str(record["stderr"]))


def print_stderr(mine: Jobs, path: str) -> None:
    """Print a saved stderr as it is; on a terminal without what a terminal would obey."""
    from cli.client import transfer

    pieces: list[bytes] = []
    terminal = sys.stdout.isatty()
    try:
        transfer.get(mine.session, path, pieces.append if terminal else sys.stdout.buffer.write)
    except Refused as error:
        raise Problem(f"the stderr {path} is gone") if error.status == 404 else error from None
    if terminal:
        sys.stdout.write(b"".join(pieces).decode("utf-8", "backslashreplace"))
    sys.stdout.flush()
