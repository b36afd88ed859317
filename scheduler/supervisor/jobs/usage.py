"""Usage: what the tasks of a job used, recorded with each task and summed for each phase.

A task is counted once, when it has committed or failed, by the attempt that counts. Lost attempts that were retried are
not charged, and a cancelled attempt reports no usage. The sums change in the transaction that commits the report, so
asking for them never counts tasks.

The records of a job go a day after its archive. So when a job is archived, its usage is added to that of its account
for the day (`charge`), which stays.

Example: two map tasks of 3 s and 1 s with 10 and 90 MiB at most, and one that ran when the job was cancelled: `tasks`
2, `wall_us` 4,000,000, `max_rss_kb` 92,160.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from scheduler.model.job import JobSpec
from scheduler.model.wire import Usage
from scheduler.records.database import Connection, Row
from scheduler.supervisor.jobs.timeline import packed, timeline

DAY_MS = 86_400_000
SUMS = ("wall_us", "cpu_us", "max_rss_kb", "bytes_in", "bytes_out")


def summed(usages: Sequence[Usage]) -> dict[str, int]:
    """The sum over a few tasks of one phase: the parameters of `count_usage`."""
    return {
        "tasks": len(usages),
        "wall_us": sum(usage.wall_us for usage in usages),
        "cpu_us": sum(usage.user_us + usage.sys_us for usage in usages),
        "max_rss_kb": max((usage.max_rss_kb for usage in usages), default=0),
        "bytes_in": sum(usage.bytes_in for usage in usages),
        "bytes_out": sum(usage.bytes_out for usage in usages),
    }


def phase_usage(c: Connection, row: Row) -> list[dict[str, Any]]:
    """Usage by phase of a row of `jobs`: number, type, MiB and GiB of an instance, tasks counted, their sums."""
    phases = JobSpec.of(json.loads(row["document"])).phases
    return [
        {
            "phase": sums["number"],
            "type": "reduce" if phase.reduce else "map",
            "memory": phase.memory_mb,
            "disk": phase.disk_gb,
            "tasks": sums["metered"],
            **{name: sums[name] for name in SUMS},
        }
        for phase, sums in zip(phases, c.all("phases_of_job", job=row["id"]), strict=True)
    ]


def usage_document(c: Connection, row: Row) -> dict[str, Any]:
    """The usage document of a row of `jobs`, as `live/usage` shows it."""
    return {"id": row["uuid"], "phases": phase_usage(c, row)}


def archived_usage(c: Connection, row: Row) -> dict[str, Any]:
    """The usage document of the archive: it has the job's timeline, too."""
    return usage_document(c, row) | {"tasks": packed(timeline(c, row), row["created"])}


def totals(c: Connection, row: Row) -> dict[str, int]:
    """The usage of a row of `jobs`, summed over its phases: a task's `mb_ms` is its time (ms) × its instance's MiB."""
    phases = phase_usage(c, row)
    sums = {
        name: sum(phase[name] for phase in phases) for name in ("tasks", "wall_us", "cpu_us", "bytes_in", "bytes_out")
    }
    return sums | {
        "mb_ms": sum(phase["wall_us"] // 1000 * phase["memory"] for phase in phases),
        "errors": row["errors"],
    }


def charge(c: Connection, row: Row, now: int) -> None:
    """Add the usage of a job (a row of `jobs`) to that of its account, for the day of `now` (ms since the epoch)."""
    c.run("charge_account", login=row["owner"], day=now // DAY_MS, **totals(c, row))
