"""Attempts of operations, as rows: which there were, where, and how each ended.

A row is written in the transaction that leases the attempt, and ended in the one that commits its report or loses it.
An attempt that failed, by its user's fault, has a code and a message; one that was aborted has a reason, and is tried
again without being counted.

    waiting ──its command begins──▶ running ──report──▶ completed | failed | aborted
       └──────stopped──────▶ aborting ◀──stopped──┘        aborting ──nothing is left of it──▶ aborted

An attempt is *waiting* until its agent says that its command has run for a moment; short ones never say so. One that
was stopped (by its user, or with its operation) is *aborting* until its agent has confirmed that no process of it is
left, or until the agent itself is lost. Its task may run again before that.

The stderr of attempts is kept, but only of so many (`Stderr.count`). One that failed takes the place of one that
completed, if all places are taken: it is more likely to be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scheduler.model.operations.reasons import AbortReason, Interruption
from scheduler.model.wire import AttemptId, AttemptReport, Outcome, usage_json
from scheduler.objects import namespace
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.cancel import MAX_IN_FLIGHT


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
        "usage": usage_json(report.usage) if report and outcome is not Outcome.LOST else None,
    }


def unscheduled(c: Connection, live: LiveJob, rows: Sequence[Row], reason: AbortReason, now: int) -> None:
    """Take leases back that were given in this transaction and reach no node: the tasks are ready again."""
    assert reason.before_a_node
    if not rows:
        return
    c.many("return_lease", [{"task": row["id"]} for row in rows])
    record = {"job": live.id, "reason": reason, "now": now}
    c.many(
        "insert_unscheduled",
        [record | {"task": row["id"], "attempt": row["attempt"], "pool": row["pool"]} for row in rows],
    )
    for pool, count in Counter(row["pool"] for row in rows).items():
        c.run("count_attempts", pool=pool, failed=0, aborted=0, unscheduled=count)


def begun(c: Connection, node: str, begun: Sequence[AttemptId], now: int) -> None:
    """Record that the commands of attempts on a node run."""
    c.many("begin_attempt", [{"task": one.task, "attempt": one.attempt, "node": node, "now": now} for one in begun])


def stop_all(c: Connection, pools: Sequence[int], reason: AbortReason) -> None:
    """Record that no running attempt of some stages counts any more; their processes may run for a moment yet."""
    for pool in pools:
        if stopped := c.run("stop_attempts", pool=pool, reason=reason):
            c.run("count_attempts", pool=pool, failed=0, aborted=stopped, unscheduled=0)


def open_ones(c: Connection, pools: Sequence[int]) -> int:
    """The number of attempts of some stages that wait or run."""
    rows = [row for pool in pools for row in c.all("open_attempts", pool=pool)]
    return sum(row["n"] for row in rows if row["state"] != "aborting")


def aborting(c: Connection, pools: Sequence[int]) -> list[Row]:
    """Attempts of some stages that were stopped, and whose processes may still run; a page of each stage."""
    return [row for pool in pools for row in c.all("aborting_attempts", pool=pool, limit=MAX_IN_FLIGHT)]


def gone_at(c: Connection, nodes: Iterable[str], find_job: Callable[[int], LiveJob | None], now: int) -> list[LiveJob]:
    """Record that nothing is left on some nodes of attempts that were stopped. Returns the jobs concerned."""
    found: dict[int, LiveJob] = {}
    for node in nodes:
        for row in c.all("aborting_at", node=node, limit=MAX_IN_FLIGHT):
            if live := find_job(row["job"]):
                found[live.id] = live
                c.run("attempt_gone", task=row["task"], attempt=row["attempt"], node=node, now=now)
    return list(found.values())


def abort_all(c: Connection, pools: Sequence[int], reason: AbortReason, now: int) -> None:
    """Record that no attempt of some stages runs any more."""
    for pool in pools:
        uncounted = len(c.all("aborting_attempts", pool=pool, limit=MAX_IN_FLIGHT))
        if aborted := c.run("abort_attempts", pool=pool, reason=reason, now=now) - uncounted:
            c.run("count_attempts", pool=pool, failed=0, aborted=aborted, unscheduled=0)


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
