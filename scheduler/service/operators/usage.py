"""Usage of accounts: what they store now, and what their jobs took by days, months or in all.

A job is counted on the day (UTC) on which it is archived, with all that its tasks took; jobs that are not archived yet
are counted as of today. Objects are counted by their names: two links to the same bytes are two objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scheduler.records.accounts import Stored, stored_of
from scheduler.records.database import Connection
from scheduler.supervisor.jobs.usage import DAY_MS, totals

SUMS = ("jobs", "tasks", "errors", "wall_us", "cpu_us", "mb_ms", "bytes_in", "bytes_out")
PERIODS = ("day", "month", "all")


@dataclass(slots=True)
class AccountUsage:
    """An account in a period: `2026-11-29`, `2026-11`, or `all`."""

    login: str
    period: str
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))

    def add(self, more: dict[str, int]) -> None:
        for name in SUMS:
            self.sums[name] += more[name]


def stored(c: Connection, login: str = "") -> dict[str, Stored]:
    """What every account stores, or one."""
    logins = [login] if login else [row["login"] for row in c.all("logins")]
    return {each: stored_of(c, each) for each in logins}


def used(c: Connection, since: int, upto: int, period: str, login: str = "") -> list[AccountUsage]:
    """What jobs took from one moment to another (ms since the epoch), by account and period."""
    today = c.now() // DAY_MS
    found: dict[tuple[str, str], AccountUsage] = {}
    days = c.all("usage_since", since=since // DAY_MS, upto=upto // DAY_MS, login=login)
    rows: Iterable[tuple[str, int, dict[str, int]]] = [
        *((row["login"], row["day"], {name: row[name] for name in SUMS}) for row in days),
        *(_unarchived(c, today, login) if since // DAY_MS <= today <= upto // DAY_MS else ()),
    ]
    for owner, day, sums in rows:
        key = owner, named(day, period)
        found.setdefault(key, AccountUsage(*key)).add(sums)
    return [found[key] for key in sorted(found)]


def _unarchived(c: Connection, today: int, login: str) -> list[tuple[str, int, dict[str, int]]]:
    counted: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in c.all("unarchived_jobs"):
        if login in ("", row["owner"]):
            more = {"jobs": 1, **totals(c, row)}
            counted[row["owner"]] = {name: counted[row["owner"]][name] + more[name] for name in SUMS}
    return [(owner, today, sums) for owner, sums in counted.items()]


def named(day: int, period: str) -> str:
    """The name of the period in which a day (since the epoch) lies."""
    if period == "all":
        return "all"
    date = datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
    return date if period == "day" else date[:7]
