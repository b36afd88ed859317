"""remora jobs: the jobs of all accounts."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from cli import table, text, when
from cli.frame import Plain, note
from cli.service.account_options import json_option, look, with_records
from scheduler.model import dates

HEADS = ("ID", "ACCOUNT", "NAME", "STATE", "DONE", "ERRORS", "AGE", "WAITS FOR")
SCREEN = 50
NAME_WIDTH, REASON_WIDTH = 24, 80


@click.command("jobs", cls=Plain)
@click.option("--account", "-a", metavar="LOGIN", default="", help="Only jobs of this account.")
@click.option(
    "--all", "-A", "everything", is_flag=True, help="Those that are done, too, as long as they are on record."
)
@click.option(
    "--since", type=when.Moment(), metavar="WHEN", default=None, help="Only jobs created since: 2h, 7d, a date."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The N newest. [default: 50 on a terminal]")
@click.option("--ids", "as_ids", is_flag=True, help="Only the ids.")
def command(
    account: str,
    everything: bool,
    since: int | None,
    limit: int | None,
    as_ids: bool,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """List the jobs of all accounts that go on, the newest first, and why those wait that wait.

    With --all also those that are done; their records go a day after their archive, which stays at ~~/jobs.

    \b
    Examples:
      remora jobs
      remora jobs -a bob --ids | xargs -r remora cancel
      remora jobs --all --since 2h --json | jq -c '[.owner, .id, .stats.errors]'
    """
    from scheduler.service.operators.jobs import Wanted, jobs_on_record

    limit = limit or (SCREEN if sys.stdout.isatty() and not as_json else None)
    wanted = Wanted(account, not everything, since or 0)
    found = look(state_dir, lambda c: list(islice(jobs_on_record(c, wanted), limit + 1 if limit else None)))
    shown = found[:limit]
    if as_json:
        for job in shown:
            print(text.compact(job))
    elif as_ids:
        for job in shown:
            print(job["id"])
    elif shown:
        show(shown)
    else:
        note("no such jobs" if everything or account or since else "no job goes on (--all: those that are done)")
    if len(found) > len(shown):
        note(f"only the newest {limit} are shown: see --limit")


def show(jobs: Sequence[dict[str, Any]]) -> None:
    now = time.time_ns() // 1_000_000
    size = 8 if len({job["id"][:8] for job in jobs}) == len(jobs) else 36
    rows = [HEADS, *(row(job, size, now) for job in jobs)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table.lines(rows, left=(0, 1, 2, 3, 7), width=width):
        print(line)


def row(job: dict[str, Any], size: int, now: int) -> tuple[str, ...]:
    """`8bd3c96e  jill  nightly  running  3/400  0  2h  phase 0: no node has 8192 MiB of memory free`."""
    stats = job["stats"]
    waits = "; ".join(f"phase {one['phase']}: {one['reason']}" for one in job.get("waiting", ()))
    return (
        job["id"][:size],
        job["owner"],
        text.escape(text.shortened(job["name"], NAME_WIDTH)),
        "cancelled" if job["cancelled"] else job["state"],
        f"{stats['tasksDone']}/{stats['tasks']}",
        str(stats["errors"]),
        when.short((now - (dates.parse_iso(job["timeCreated"]) or now)) / 1000),
        text.escape(text.shortened(waits, REASON_WIDTH)),
    )


with_records(command, json_option())
