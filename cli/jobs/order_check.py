"""mjob sort -c: the first line of an object that is out of order, in the words of `sort -c`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cli.frame import FAILED
from cli.jobs import operations

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

FOUND = b"msort: -:"  # what the task begins its line with: it has read its standard input


def perform(mine: Jobs, spec: dict[str, Any], inputs: Sequence[str], run: operations.Run, *, says: bool) -> None:
    """Check one input, or all objects of a directory as one. Exits with 1 if a line is out of order. Raises `Problem`.

    `says`: which line it is, on stderr.
    """
    context = click.get_current_context()
    if len(inputs) != 1:
        raise click.UsageError("-c is for one INPUT", context)
    if "output" in run.keys:
        raise click.UsageError("-c and -o exclude each other", context)
    finish = partial(_finish, name=inputs[0], says=says)
    operations.perform(mine, "sort", {**spec, "check": True}, inputs, run, finish)


def _finish(mine: Jobs, job: str, run: operations.Run, *, name: str, says: bool) -> None:
    operations.wait(mine, job, run)
    found = b"".join(mine.session.call("GET", path.decode()).content for path in mine.records(job, "out"))
    if not found:
        return
    if says:
        line = found.removeprefix(FOUND)
        sys.stderr.buffer.write(b"mjob sort: %s:%s" % (name.encode("utf-8", "surrogateescape"), line))
        sys.stderr.flush()
    sys.exit(FAILED)
