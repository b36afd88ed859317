"""Transactions by which supervisors join, live, claim, and leave: see `engine.membership` for what they decide.

A supervisor is a row, and a number for each start. All that it writes stands behind a fence:
the row must say that it is not lost. Transactions come one after the other in the whole
cluster, so from the instant at which another calls it lost, nothing that it still tries counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from scheduler.engine.membership import TTL, Pulse, share_out
from scheduler.records.database import Connection, Fenced
from scheduler.supervisor import announcements
from scheduler.supervisor.cache.live_jobs import LiveJob, load_job
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.intake import advance
from scheduler.supervisor.tasks import recovery

# Jobs claimed in one transaction.
CLAIM_PAGE = 100
# Milliseconds for which the record of a lost supervisor is kept.
LINGER_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a beat found. `first`: the lowest number that lives; that one does what is nobody's in particular."""

    pulse: Pulse
    first: int
    lost: list[int] = field(default_factory=list)
    unowned: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours now: its shadow, ready tasks by pool, and what came of looking at it."""

    live: LiveJob
    ready: dict[int, int]
    located: dict[int, Counter[str]]  # of these, by the node that they belong to
    changes: Changes


def join(c: Connection, url: str, alone: bool) -> tuple[int, Pulse]:
    """A supervisor starts; its number. `alone`: whoever was here before is gone for certain."""
    now = c.now()
    supervisor = c.insert("insert_supervisor", url=url, now=now)
    if alone:
        for row in c.all("other_supervisors", supervisor=supervisor):
            leave(c, row["id"])
    return supervisor, Pulse.begin(now)


def check(c: Connection, supervisor: int) -> None:
    """The fence. Raises Fenced if others have taken over."""
    if c.one("supervisor_lives", supervisor=supervisor) is None:
        raise Fenced(f"supervisor {supervisor} was lost: others have its jobs")


def beat(c: Connection, supervisor: int, pulse: Pulse) -> Heartbeat:
    """A supervisor lives, and looks who else does."""
    now = c.now()
    pulse = pulse.beat(now)
    c.run("beat", supervisor=supervisor, now=now)
    lost = [row["id"] for row in c.all("silent_supervisors", before=now - TTL)] if pulse.may_judge() else []
    for silent in lost:
        leave(c, silent)
    living = [row["id"] for row in c.all("living_supervisors")]
    unowned = c.one("unowned_jobs", limit=1) is not None
    return Heartbeat(pulse, min(living, default=supervisor), lost, unowned)


def leave(c: Connection, supervisor: int) -> None:
    """A supervisor is gone: its jobs are for the others."""
    c.run("lose_supervisor", supervisor=supervisor)
    if c.run("give_back_jobs", supervisor=supervisor):
        c.announce(announcements.JOBS)


def forget(c: Connection) -> None:
    """Drop the records of those that were lost long ago."""
    c.run("forget_supervisors", before=c.now() - LINGER_MS)


def unowned(c: Connection) -> tuple[int, list[int]]:
    """The time (ms), and jobs that nobody owns: a page."""
    return c.now(), [row["id"] for row in c.all("unowned_jobs", limit=CLAIM_PAGE)]


def claim(c: Connection, supervisor: int, overdue: Collection[int], now: int) -> list[Claim]:
    """Take the jobs that are this supervisor's share, and those of `overdue` whose claimant did not come."""
    jobs = unowned(c)[1]
    loads = {row["id"]: row["jobs"] for row in c.all("loads_of_supervisors")}
    shares = share_out(jobs, loads)
    return [take_up(c, job, supervisor, now) for job in jobs if shares.get(job) == supervisor or job in overdue]


def take_up(c: Connection, job: int, supervisor: int, now: int) -> Claim:
    """A job is ours: what was leased is ready again; what others wrote in between has its consequences."""
    c.run("own_job", job=job, supervisor=supervisor)
    c.announce(announcements.news(job))
    row = c.one("job_by_id", job=job)
    assert row is not None
    live = load_job(c, row)
    for pool in live.pools:
        c.run("release_leases", pool=pool)
    ready = {pool: (c.one("count_ready", pool=pool) or {"n": 0})["n"] for pool in live.pools}
    located = {pool: recovery.located(c, pool) for pool in live.pools}
    return Claim(live, ready, located, advance(c, live, now) if live.input_done and not live.done else Changes())
