"""mjob cost: what the tasks of a job took, phase by phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import click

from cli import text
from cli.client.problem import Problem, Refused
from cli.frame import Command, note
from cli.jobs.common import jobs, one_job_argument, only
from cli.table import lines

Row = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])
SECOND_US = 1_000_000
SUMS = ("tasks", "wall_us", "cpu_us", "bytes_in", "bytes_out", "gb_seconds")
HEADS = ("phase", "type", "memory", "tasks", "wall", "cpu", "peak", "in", "out", "GB·s")


def accepted(function: Function) -> Function:
    """Manta's options for the job that it computed a price with."""
    for option in (
        click.option("-n", "--name", expose_value=False, hidden=True),
        click.option("-p", "--parallel", type=click.IntRange(min=1), expose_value=False, hidden=True),
    ):
        function = option(function)
    return function


@click.command("cost", cls=Command)
@click.option("--price", type=click.FloatRange(min=0), metavar="DOLLARS",
              help="Price of a GB·s: adds a column of dollars. Nothing costs money by itself.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Only the total: GB·s, or dollars with --price.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object.")
@accepted
@one_job_argument
def command(job: tuple[str, ...], price: float | None, quiet: bool, as_json: bool) -> None:
    """Print what the tasks of a job took: a line for each phase, and the sum.

    wall and cpu are summed up over the tasks, peak is the memory of the largest. GB·s is the time of the tasks times
    the memory of their instances, whether they used it or not: what a node cannot give to others meanwhile. Tasks
    count once they have ended, those of the user's errors too; attempts that the system lost do not.

    \b
    Examples:
      mjob cost 8bd3c96e-…
      mjob cost --price 0.00004 -q 8bd3c96e-…
      mjob cost --json 8bd3c96e-… | jq '.phases[] | .cpu_us / .tasks'
    """
    with jobs() as mine:
        wanted = only(mine, job)
        try:
            usage = mine.usage(wanted)
        except Refused as error:
            if error.status != 404:
                raise
            raise Problem(f"what job {wanted} took is not known: it has no record and no usage.json") from None
    phases = [priced(phase, price) for phase in usage["phases"]]
    total = summed(phases)
    if not total["tasks"] and not quiet:
        note("no task of the job has ended yet")
    if as_json:
        print(text.compact({"id": usage["id"], "phases": phases, "total": total}))
    elif quiet:
        print(dollars(total["dollars"]) if price is not None else f"{total['gb_seconds']:.3f}")
    else:
        print(table([*phases, total], price is not None), end="")


def priced(phase: Row, price: float | None) -> Row:
    """The phase with its GB·s, and with dollars if they have a price."""
    gb_seconds = round(phase["wall_us"] / SECOND_US * phase["memory"] / 1024, 6)
    return {**phase, "gb_seconds": gb_seconds, **({} if price is None else {"dollars": gb_seconds * price})}


def summed(phases: Sequence[Row]) -> Row:
    names = [*SUMS, *(["dollars"] if any("dollars" in phase for phase in phases) else [])]
    return {
        **{name: sum(phase[name] for phase in phases) for name in names},
        "max_rss_kb": max((phase["max_rss_kb"] for phase in phases), default=0),
    }


def table(rows: Sequence[Row], priced: bool) -> str:
    """Lines of columns, numbers to the right; the last row is the sum."""
    cells = [list(HEADS) + (["$"] if priced else []), *(in_cells(row, priced) for row in rows)]
    return "".join(f"{line}\n" for line in lines(cells))


def in_cells(row: Row, priced: bool) -> list[str]:
    return [
        str(row.get("phase", "all")),
        row.get("type", ""),
        f"{row['memory']} MB" if "memory" in row else "",
        str(row["tasks"]),
        duration(row["wall_us"]),
        duration(row["cpu_us"]),
        text.human_size(row["max_rss_kb"] * 1024),
        text.human_size(row["bytes_in"]),
        text.human_size(row["bytes_out"]),
        f"{row['gb_seconds']:.3f}",
        *([dollars(row["dollars"])] if priced else []),
    ]


def duration(us: int) -> str:
    """`0.012s`, `75.3s`, `3h05m`: enough digits to compare by."""
    seconds = us / SECOND_US
    if seconds < 10:
        return f"{seconds:.3f}s"
    if seconds < 3600:
        return f"{seconds:.1f}s"
    minutes = int(seconds) // 60
    return f"{minutes // 60}h{minutes % 60:02}m"


def dollars(amount: float) -> str:
    """`$0.341`; of small amounts three digits that count."""
    return "$" + (f"{amount:.3f}" if amount >= 0.1 or not amount else f"{Decimal(f'{amount:.3g}'):f}")
