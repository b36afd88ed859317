"""Transactions of membership: supervisors join, beat, claim jobs, and leave (`engine.membership` decides).

A supervisor is a row with a number for each start. All that it writes stands behind a fence (fencing token): its row
must not be lost. Transactions run one after the other in the whole cluster, so from the instant at which another
supervisor declares it lost, none of its writes counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from scheduler.engine.membership import TTL, Pulse, share_out
from scheduler.model.operations.reasons import AbortReason
from scheduler.records.database import Connection
from scheduler.records.fences import Fence
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.intake import advance
from scheduler.supervisor.operations import attempts
from scheduler.supervisor.tasks import recovery

# Jobs that are claimed in one transaction.
CLAIM_PAGE = 100
# Milliseconds after which it is written again that the agent of a node is heard.
AGAIN_MS = 4000
# Milliseconds for which the record of a lost supervisor is kept.
LINGER_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The result of a beat.

    `first`: the lowest living number; that supervisor leads, and does the work of no single owner.
    """

    pulse: Pulse
    first: int
    lost: list[int] = field(default_factory=list)
    unowned: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is claimed: its cached form, ready tasks by pool, and the changes that claiming it made.

    `nodes` have attempts of it that agents may still run.
    """

    live: LiveJob
    nodes: set[str]
    ready: dict[int, int]
    located: dict[int, Counter[str]]  # of these, by the node that they belong to
    changes: Changes


def join(c: Connection, url: str, alone: bool) -> tuple[int, Pulse]:
    """Record the start of a supervisor; returns its number. `alone`: any earlier supervisor is certainly gone."""
    now = c.now()
    supervisor = c.insert("insert_supervisor", url=url, now=now)
    if alone:
        for row in c.all("other_supervisors", supervisor=supervisor):
            leave(c, row["id"])
    return supervisor, Pulse.begin(now)


def fence(supervisor: Callable[[], int]) -> Fence:
    """The fence of a supervisor, by its number once it has one: it falls when the supervisor is declared lost."""
    return Fence(
        "supervisor_lives", lambda: {"supervisor": supervisor()}, "this supervisor was lost: others have its jobs"
    )


def beat(c: Connection, supervisor: int, pulse: Pulse, nodes: Collection[str] = ()) -> Heartbeat:
    """Record that a supervisor lives, and that it hears the agents of `nodes`; declare silent supervisors lost."""
    now = c.now()
    pulse = pulse.beat(now)
    c.run("beat", supervisor=supervisor, now=now)
    if nodes:
        c.run("hear_nodes", nodes=json.dumps(sorted(nodes)), now=now, before=now - AGAIN_MS)
    lost = [row["id"] for row in c.all("silent_supervisors", before=now - TTL)] if pulse.may_judge() else []
    for silent in lost:
        leave(c, silent)
    living = [row["id"] for row in c.all("living_supervisors")]
    unowned = c.one("unowned_jobs", limit=1) is not None
    return Heartbeat(pulse, min(living, default=supervisor), lost, unowned)


def leave(c: Connection, supervisor: int) -> None:
    """Record that a supervisor has left: its jobs have no owner."""
    c.run("lose_supervisor", supervisor=supervisor)
    if c.run("give_back_jobs", supervisor=supervisor):
        c.announce(announcements.JOBS)


def forget(c: Connection) -> None:
    """Remove the records of supervisors that were lost long ago."""
    c.run("forget_supervisors", before=c.now() - LINGER_MS)


def unowned(c: Connection) -> tuple[int, list[int]]:
    """The time (ms), and a page of the jobs without an owner."""
    return c.now(), [row["id"] for row in c.all("unowned_jobs", limit=CLAIM_PAGE)]


def claim(c: Connection, supervisor: int, overdue: Collection[int], now: int, alone: bool) -> list[Claim]:
    """Claim this supervisor's share of the jobs without an owner, and `overdue` ones that others left unclaimed.

    `alone`: any earlier supervisor is certainly gone, and its agents with it.
    """
    jobs = unowned(c)[1]
    loads = {row["id"]: row["jobs"] for row in c.all("loads_of_supervisors")}
    shares = share_out(jobs, loads)
    return [take_up(c, job, supervisor, now, alone) for job in jobs if shares.get(job) == supervisor or job in overdue]


def take_up(c: Connection, job: int, supervisor: int, now: int, alone: bool) -> Claim:
    """Take over a job: what other processes have recorded takes effect. `alone`: its leased tasks become ready; else
    `agents.adoption` decides about them.
    """
    c.run("own_job", job=job, supervisor=supervisor)
    c.announce(announcements.news(job))
    row = c.one("job_by_id", job=job)
    assert row is not None
    live = load_job(c, row)
    if alone:
        for pool in live.pools:
            c.run("release_leases", pool=pool)
        if live.standing is not None:
            attempts.abort_all(c, live.pools, AbortReason.SCHEDULER, now)
    nodes = {leased["node"] for pool in live.pools for leased in c.all("nodes_with_leases", pool=pool)}
    ready = {pool: (c.one("count_ready", pool=pool) or {"n": 0})["n"] for pool in live.pools}
    located = {pool: recovery.located(c, pool) for pool in live.pools}
    changes = advance(c, live, now) if live.input_done and not live.done else Changes()
    return Claim(live, nodes, ready, located, changes)
