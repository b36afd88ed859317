"""remora usage: what accounts store, and what their jobs took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import table, text, when
from cli.frame import Plain, note
from cli.service.account_options import json_option, look, with_records

if TYPE_CHECKING:
    from scheduler.records.accounts import Stored
    from scheduler.records.database import Connection
    from scheduler.service.operators.usage import AccountUsage

STORED_HEADS = ("ACCOUNT", "OBJECTS", "BYTES")
USED_HEADS = ("ACCOUNT", "PERIOD", "JOBS", "TASKS", "ERRORS", "TASK SECONDS", "CPU SECONDS", "GB·s", "IN", "OUT")
MB_MS = 1024 * 1000  # in a GB·s


@click.command("usage", cls=Plain)
@click.option("--account", "-a", metavar="LOGIN", default="", help="Only this account.")
@click.option("--since", type=when.Moment(), metavar="WHEN", help="From this day on: 7d, or a date. [default: ever]")
@click.option(
    "--before", type=when.Moment(), metavar="WHEN", help="Up to this day: an age, or a date. [default: today]"
)
@click.option("--by", "period", type=click.Choice(["day", "month", "all"]), default="all", show_default=True,
              help="Length of a period.")  # fmt: skip
@click.option("--no-stored", is_flag=True, help="Leave out what is stored now, which reads every name.")
def command(
    account: str,
    since: int | None,
    before: int | None,
    period: str,
    no_stored: bool,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Print what each account stores now, and what its jobs took: by day, by month, or in all.

    A job counts on the day (UTC) on which it ended and was archived, those that go on count today. Task seconds are
    summed over tasks; GB·s are their time times the memory of their instances (see mjob cost). Objects count by name.

    \b
    Examples:
      remora usage
      remora usage --by month --since 2026-01-01 --json
      remora usage -a jill --by day --since 7d
    """
    from scheduler.records import accounts
    from scheduler.service.operators import usage

    now = time.time_ns() // 1_000_000

    def read(c: Connection) -> tuple[dict[str, Stored], list[AccountUsage]]:
        if account:
            accounts.require(c, account)
        stored = {} if no_stored else usage.stored(c, account)
        return stored, usage.used(c, since or 0, now if before is None else before, period, account)

    stored, used = look(state_dir, read)
    if as_json:
        for login, kept in stored.items():
            print(text.compact({"account": login, "objects": kept.objects, "bytes": kept.bytes}))
        for one in used:
            sums = {name: value for name, value in one.sums.items() if name != "mb_ms"}
            gb_seconds = round(one.sums["mb_ms"] / MB_MS, 3)
            print(text.compact({"account": one.login, "period": one.period, **sums, "gb_seconds": gb_seconds}))
        return
    if stored:
        rows = [(login, str(kept.objects), text.human_size(kept.bytes)) for login, kept in stored.items()]
        show([STORED_HEADS, *rows], left=(0,))
    if stored and used:
        print()
    if used:
        show([USED_HEADS, *map(row, used)], left=(0, 1))
    else:
        note("no job has run in that time")


def show(rows: Sequence[Sequence[str]], left: Sequence[int]) -> None:
    for line in table.lines(rows, left=left):
        print(line)


def row(one: AccountUsage) -> tuple[str, ...]:
    sums = one.sums
    counted = (str(sums[name]) for name in ("jobs", "tasks", "errors"))
    seconds = (f"{sums[name] / 1e6:.1f}" for name in ("wall_us", "cpu_us"))
    moved = (text.human_size(sums[name]) for name in ("bytes_in", "bytes_out"))
    return (one.login, one.period, *counted, *seconds, f"{sums['mb_ms'] / MB_MS:.1f}", *moved)


with_records(command, json_option())
