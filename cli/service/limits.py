"""remora limits: what accounts may have and do, if nothing else was set for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.account_options import change, json_option, look, with_records

if TYPE_CHECKING:
    from scheduler.records.database import Connection


@click.command("limits", cls=Plain)
@click.argument("words", metavar="[NAME=VALUE...]", nargs=-1)
def command(words: tuple[str, ...], as_json: bool, state_dir: Path | None) -> None:
    """Show or set the limits of accounts for which nothing else was set (remora user set --limit).

    A value is a number, with K, M, G, T for bytes and numbers, s, m, h, d for times; none is no limit, default the
    built-in one. They hold for requests within seconds, for instances and tasks of jobs that begin from then on.

    \b
      bytes         bytes in all objects of an account (a link counts as its object)
      objects       objects
      jobs          jobs that go on
      inputs        inputs of a job
      instances     instances at once, of all its jobs
      task-seconds  how long a task may run
      requests      requests a second, at each gateway; more are answered with 429 and Retry-After

    \b
    Examples:
      remora limits
      remora limits jobs=200 bytes=1T requests=500
      remora limits bytes=default

    Exit status: 0, or 1 if something is wrong.
    """
    from scheduler.model.limits import as_words, merged
    from scheduler.records import accounts

    if words:

        def work(c: Connection) -> None:
            accounts.set_default_limits(c, new_limits(accounts.default_limits(c), words))

        change(state_dir, work, "limits set", limits=" ".join(words))
    found = as_words(merged(look(state_dir, accounts.default_limits)))
    if as_json:
        print(text.compact(found))
    else:
        for name, value in in_cells(found):
            print(f"{name:14}{value}")


def new_limits(document: str | None, words: Iterable[str]) -> str | None:
    """The document with the limits that `NAME=VALUE` sets. Raises `Problem`."""
    from scheduler.model.limits import LimitError, changed

    try:
        return changed(document, words)
    except LimitError as error:
        raise Problem(str(error)) from None


def in_cells(limits: Mapping[str, int | None]) -> Iterable[tuple[str, str]]:
    """The limits as users read them: `10G`, `2h`, `none`."""
    for name, value in limits.items():
        yield name, "none" if value is None else text.human_size(value) if name == "bytes" else str(value)


with_records(command, json_option())
