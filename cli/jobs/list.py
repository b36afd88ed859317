"""mjob list: which jobs there are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli import table, text, when
from cli.frame import Command, note
from cli.jobs.common import jobs
from cli.output import print_name
from scheduler.model import dates

if TYPE_CHECKING:
    from cli.client.job_list import Entry
    from cli.client.jobs import Jobs, Status

    Described = tuple[Entry, Status | None]

SCREEN = 50  # jobs that are shown on a terminal
COMMAND_WIDTH, NAME_WIDTH = 60, 24
HEADS = ("ID", "NAME", "STATE", "DONE", "ERRORS", "AGE", "COMMAND")
# States that the listing itself knows, and those that only a job's status tells.
LISTED = ("running", "live", "done")
TYPES = ("pipeline", "map", "merge", "erase", "sort", "map_reduce")
TOLD: dict[str, Callable[[Status], bool]] = {
    "suspended": lambda status: bool(status.get("suspended")),
    "cancelled": lambda status: bool(status["cancelled"]),
    "failed": lambda status: status["state"] == "done" and bool(status["stats"]["errors"]),
}


@click.command("list", cls=Command)
@click.option("-l", "--long", "long", is_flag=True, help="Long format, with the time of creation.")
@click.option("-n", "--name", metavar="PATTERN", help="Only jobs with such a name: * and ? stand for anything.")
@click.option("-s", "--state", type=click.Choice([*LISTED, *TOLD]), metavar="STATE",
              help=f"Only jobs in this state: {', '.join([*LISTED, *TOLD])}.")  # fmt: skip
@click.option("--type", "kind", type=click.Choice(TYPES), metavar="TYPE",
              help=f"Only jobs of this type: {', '.join(TYPES)}.")  # fmt: skip
@click.option("--since", type=when.Moment(), metavar="WHEN", help="Only jobs created since: 2h, 7d or a date.")
@click.option("--before", type=when.Moment(), metavar="WHEN", help="Only jobs created before: 2h, 7d or a date.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N",
              help=f"The N newest. [default: {SCREEN} on a terminal, else all]")  # fmt: skip
@click.option("--table", "as_table", is_flag=True, help="The table, also where stdout is no terminal.")
@click.option("--ids", "as_ids", is_flag=True, help="Only the ids, also on a terminal.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per line, with the status as `job`.")
def command(
    long: bool,
    name: str | None,
    state: str | None,
    kind: str | None,
    since: int | None,
    before: int | None,
    limit: int | None,
    as_table: bool,
    as_ids: bool,
    as_json: bool,
) -> None:
    """Print the jobs that there are, the newest first: all whose directory below ~~/jobs has not been removed.

    On a terminal that is a table. In a pipe it is one id a line with a slash, since a job is a directory. The
    beginning of an id that the table shows, last, or the name of a job stands for the job in all commands.

    \b
    Examples:
      mjob list
      mjob list -s failed --since 2h
      mjob list --type map -s running
      mjob list -n 'nightly*' --before 7d | xargs -r mjob delete -f
    """
    if sum((long or as_json, as_table, as_ids)) > 1:
        raise click.UsageError("--table, --ids, and -l or -j exclude each other", click.get_current_context())
    as_table = as_table or (sys.stdout.isatty() and not (long or as_ids or as_json))
    with jobs() as mine:
        entries = newest_first(mine, state, since, before)
        whole = as_table or as_json
        found = matching(mine, entries, name, state, kind, whole=whole)
        limit = limit or (SCREEN if as_table and sys.stdout.isatty() else None)
        if as_table:
            show_table(list(islice(found, limit)), width=None if not sys.stdout.isatty() else terminal_width())
            if limit and next(found, None):
                note(f"only the newest {limit} are shown: see --limit, --since, -n")
            return
        for entry, status in islice(found, limit):
            show(mine, entry, status, long=long, as_json=as_json)


def newest_first(mine: Jobs, state: str | None, since: int | None, before: int | None) -> list[Entry]:
    """The directories of jobs, by time of creation, of those states that the service lists by."""
    recorded = state if state in ("running", "live") else None
    entries = list(mine.listing(state=recorded))
    if state and not recorded:
        running = {entry["name"] for entry in mine.listing(state="running")}
        entries = [entry for entry in entries if entry["name"] not in running]
    if since is not None or before is not None:
        entries = [entry for entry in entries if in_time(created(entry), since, before)]
    return sorted(entries, key=lambda entry: str(entry.get("mtime", "")), reverse=True)


def created(entry: Entry) -> int:
    return dates.parse_iso(str(entry.get("mtime", ""))) or 0


def in_time(at: int, since: int | None, before: int | None) -> bool:
    return (since is None or at >= since) and (before is None or at < before)


def matching(
    mine: Jobs, entries: Iterable[Entry], name: str | None, state: str | None, kind: str | None, *, whole: bool
) -> Iterator[Described]:
    """The entries that fit, with their status if that had to be asked for, or is wanted (`whole`)."""
    if not (whole or name or kind or state in TOLD):
        yield from ((entry, None) for entry in entries)
        return
    from cli.client.job_list import described

    for entry, status in described(mine, entries):
        if fits(status, name, state, kind):
            yield entry, status


def fits(status: Status | None, name: str | None, state: str | None, kind: str | None = None) -> bool:
    """Whether a job has the name, the state and the type. A directory without a job has none."""
    if status is None:
        return not name and not kind and state not in TOLD
    if kind and status.get("type", "pipeline") != kind:
        return False
    return (not name or fnmatchcase(status["name"], name)) and (state not in TOLD or TOLD[state](status))


def show(mine: Jobs, entry: Entry, status: Status | None, *, long: bool, as_json: bool) -> None:
    if as_json:
        print(text.compact({**entry, **({"job": status} if status else {})}))
    elif long:
        date = text.short_date(entry["mtime"], int(time.time() * 1000), pad=False)
        print_name(f"drwxr-xr-x 1 {mine.account} 1 {date} {entry['name']}")
    else:
        print_name(entry["name"] + "/")


def show_table(found: list[Described], width: int | None) -> None:
    if not found:
        note("mjob list: no such jobs")
        return
    now = int(time.time() * 1000)
    ids = [str(entry["name"]) for entry, _ in found]
    size = 8 if len({one[:8] for one in ids}) == len(ids) else max(map(len, ids))
    rows = [HEADS, *(row(entry, status, size, now) for entry, status in found)]
    for line in table.lines(rows, left=(0, 1, 2, 6), width=width):
        print(line)


def terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def row(entry: Entry, status: Status | None, size: int, now: int) -> tuple[str, ...]:
    """`8bd3c96e  nightly  done  400/400  3  2h  grep -c ERROR ^^ paste -sd+`."""
    age = when.short((now - created(entry)) / 1000)
    if status is None:
        return (entry["name"][:size], "", "?", "", "", age, "")
    stats = status["stats"]
    return (
        entry["name"][:size],
        text.escape(text.shortened(status["name"], NAME_WIDTH)),
        state_of(status),
        f"{stats['tasksDone']}/{stats['tasks']}",
        str(stats["errors"]),
        age,
        text.escape(text.shortened(command_of(status), COMMAND_WIDTH)),
    )


def state_of(status: Status) -> str:
    if "status" in status:
        return f"{status['status']}{' (suspended)' if status['suspended'] and status['state'] != 'done' else ''}"
    return "cancelled" if status["cancelled"] else str(status["state"])


def command_of(status: Status) -> str:
    """What a job does: its phases; of an operation its title, or its type and command."""
    if "type" in status:
        return str(status.get("title") or f"{status['type']} {status.get('spec', {}).get('exec', '')}".strip())
    return expression(status["phases"])


def expression(phases: list[dict[str, Any]]) -> str:
    """The phases as mjob create takes them: `grep x ^ wc ^^ sort`."""
    words = "".join(f" {'^^' if phase['type'] == 'reduce' else '^'} {phase['exec']}" for phase in phases)
    return words.removeprefix(" ^ ").strip()
