"""Bounds on leases: how many attempts of a job may begin, and how many leases fit into one reply.

A poll is planned by what is in memory, and its leases are given in a transaction. In between a gateway may have
suspended the operation, and another agent may have been given attempts. So the transaction asks again, and takes back
what may not begin: such an attempt is recorded as aborted before it reached a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import TaskLease
from scheduler.records.database import Connection, Row
from scheduler.supervisor.agents.session import AgentSession
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.operations import attempts

# Bytes of one reply that leases of operations take, and what a lease and each of its ranges take beside the name.
MAX_LEASE_BYTES = 4 << 20
LEASE_BYTES, SOURCE_BYTES = 500, 250


def may_begin(jobs: LiveJobs, sessions: Iterable[AgentSession], pool: int) -> int:
    """Number of ready tasks of a pool that may begin anywhere: none of a suspended job, so many of a limited one."""
    live, ready = jobs.by_pool(pool), jobs.ready[pool]
    if live is None or not (live.suspended or live.lacking or most_tasks(live)):
        return ready
    if live.suspended or live.lacking:
        return 0
    held = sum(session.held[each] for session in sessions for each in live.pools)
    return min(ready, (most_tasks(live) or ready) - held)


def allowed(c: Connection, live: LiveJob, rows: list[Row], now: int) -> list[Row]:
    """The leases of an operation that its owner allows; the others are taken back.

    They were planned by what is in memory: meanwhile a gateway may have suspended the operation, and another agent may
    have been given attempts.
    """
    control = c.one("control_of_job", job=live.id)
    if control is not None and control["suspended"]:
        attempts.unscheduled(c, live, rows, AbortReason.SCHEDULING_OPERATION_SUSPENDED, now)
        return []
    most = most_tasks(live)
    if most is None:
        return rows
    room = max(0, most - attempts.open_ones(c, live.pools))
    attempts.unscheduled(c, live, rows[room:], AbortReason.SCHEDULING_RESOURCE_OVERCOMMIT, now)
    return rows[:room]


def most_tasks(live: LiveJob) -> int | None:
    """How many attempts of a job may run at once; None: any number."""
    return live.spec.operation.most_tasks if live.spec.operation is not None else None


def fit(tasks: Sequence[TaskLease], room: int) -> tuple[int, int]:
    """How many leases fit into `room` bytes of a reply, at least one, and the room that is left."""
    for number, task in enumerate(tasks):
        size = LEASE_BYTES + sum(SOURCE_BYTES + len(source.name) for source in (task.feed.sources if task.feed else ()))
        if size > room and number:
            return number, 0
        room -= size
    return len(tasks), max(0, room)
