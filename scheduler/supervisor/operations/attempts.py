"""Attempts of operations, as rows: which there were, where, and how each ended.

A row is written in the transaction that leases the attempt, and ended in the one that commits its report or loses it.
An attempt that failed, by its user's fault, has a code and a message; one that was aborted has a reason, and is tried
again without being counted.

The stderr of attempts is kept, but only of so many (`Stderr.count`). One that failed takes the place of one that
completed, if all places are taken: it is more likely to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.model.operations.reasons import AbortReason, Interruption
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.objects import namespace
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob


def begin(c: Connection, live: LiveJob, rows: Sequence[Row], node: str, now: int) -> None:
    """Record attempts that are leased to a node's agent."""
    c.many(
        "insert_attempt",
        [
            {
                "task": row["id"],
                "attempt": row["attempt"],
                "job": live.id,
                "pool": row["pool"],
                "node": node,
                "now": now,
            }
            for row in rows
        ],
    )


def ended(
    row: Row, outcome: Outcome, reason: AbortReason, report: AttemptReport | None, now: int, stderr: str | None
) -> Mapping[str, Any]:
    """The parameters of `end_attempt` for the attempt that a task's row has. `reason` is for one that was aborted."""
    state = {Outcome.OK: "completed", Outcome.FAILED: "failed", Outcome.LOST: "aborted"}[outcome]
    failed = report if outcome is Outcome.FAILED else None
    return {
        "task": row["id"],
        "attempt": row["attempt"],
        "state": state,
        "reason": reason if outcome is Outcome.LOST else None,
        "interrupted": Interruption.NONE if outcome is Outcome.OK else None,
        "code": failed.code if failed else None,
        "message": failed.message if failed else None,
        "now": now,
        "stderr": stderr,
        "usage": report.usage.model_dump_json() if report and outcome is not Outcome.LOST else None,
    }


def abort_all(c: Connection, pools: Sequence[int], reason: AbortReason, now: int) -> None:
    """Record that no running attempt of some stages counts any more."""
    for pool in pools:
        if aborted := c.run("abort_attempts", pool=pool, reason=reason, now=now):
            c.run("count_attempts", pool=pool, failed=0, aborted=aborted)


def room_for_stderr(c: Connection, live: LiveJob, kept: int, failed: bool) -> tuple[bool, list[str]]:
    """Whether the stderr of one more attempt is kept, and blobs to discard for that.

    `kept`: those of this transaction that are not recorded yet.
    """
    assert live.spec.operation is not None
    most = live.spec.operation.stderr.count
    found = c.one("count_stderrs", job=live.id)
    if (found["n"] if found else 0) + kept < most:
        return True, []
    oldest = c.one("oldest_stderr", job=live.id) if failed and most else None
    if oldest is None:
        return False, []
    c.run("forget_stderr", task=oldest["task"], attempt=oldest["attempt"])
    if namespace.lookup(c, oldest["stderr"]) is None:  # its user has removed it
        return True, []
    return True, namespace.delete(c, oldest["stderr"]).discard
