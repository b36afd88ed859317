"""remora limits: what accounts may have and do, if nothing else was set for them, and what all may together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import table, text
from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.account_options import change, json_option, look, with_records

if TYPE_CHECKING:
    from scheduler.records.database import Connection
    from scheduler.service.operators.totals import Total


@click.command("limits", cls=Plain)
@click.option("--in-all", is_flag=True, help="Set what all accounts may have and do together.")
@click.argument("words", metavar="[NAME=VALUE...]", nargs=-1)
def command(words: tuple[str, ...], in_all: bool, as_json: bool, state_dir: Path | None) -> None:
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
      requests      requests a second, at each gateway; more wait, and many more are answered with 429

    With --in-all they bound all accounts together, but for inputs and task-seconds, which have no sum; the instances
    that compute at once are divided among the nodes by their slots, at least one each.

    \b
    Examples:
      remora limits
      remora limits jobs=200 bytes=1T requests=500
      remora limits bytes=default
      remora limits --in-all bytes=20T jobs=5000

    Exit status: 0, or 1 if something is wrong.
    """
    from scheduler.model.limits import as_words, changed, changed_totals, merged
    from scheduler.records import accounts
    from scheduler.service.operators.totals import totals

    if in_all and not words:
        raise click.UsageError("--in-all: say what to set, NAME=VALUE", click.get_current_context())
    if words:

        def work(c: Connection) -> None:
            how = changed_totals if in_all else changed
            accounts.set_default_limits(c, new_limits(accounts.default_limits(c), words, how))

        change(state_dir, work, "limits set", limits=" ".join(words), of="all" if in_all else "each account")
    own, together = look(state_dir, lambda c: (as_words(merged(accounts.default_limits(c))), totals(c)))
    if as_json:
        print(text.compact({"account": own, "in_all": {name: asdict(one) for name, one in together.items()}}))
    else:
        print("\n".join(table.lines(rows_of(own, together), left=(0,))))


def rows_of(own: Mapping[str, int | None], together: Mapping[str, Total]) -> list[tuple[str, ...]]:
    """A table: each limit of an account, and of all, with what all use."""
    rows: list[tuple[str, ...]] = [("LIMIT", "OF AN ACCOUNT", "IN ALL", "USED")]
    for name, most in own.items():
        total = together.get(name)
        bound = in_cell(name, total.most) if total else "-"
        used = "-" if total is None or total.used is None else in_cell(name, total.used)
        rows.append((name, in_cell(name, most), bound, used))
    return rows


def new_limits(
    document: str | None, words: Iterable[str], how: Callable[[str | None, Iterable[str]], str | None]
) -> str | None:
    """The document with the limits that `NAME=VALUE` sets, by one of the functions of `model.limits`.

    Raises `Problem`.
    """
    from scheduler.model.limits import LimitError

    try:
        return how(document, words)
    except LimitError as error:
        raise Problem(str(error)) from None


def in_cell(name: str, value: int | None) -> str:
    """A limit as users read it: `10G`, `500`, `none`."""
    return "none" if value is None else text.human_size(value) if name == "bytes" else str(value)


with_records(command, json_option())
