"""Membership: which supervisor owns which job, and which supervisor may declare another lost.

Each job has one owner among the living supervisors. Claims are transactions, and transactions run one after the
other, so a claim sees what all other supervisors own by then. So no hash has to assign jobs in advance: *the
supervisor with the fewest jobs gets the next one*. Every supervisor computes the same assignment, and takes the jobs
that it assigns to itself. A job with an owner never moves while that owner lives, and shares differ by one job at
most, however few jobs there are.

The supervisor that should claim a job may hang, which the others learn only seconds later. So any supervisor may claim
a job that still has no owner after `CLAIM_SECONDS`.

A supervisor lives while it beats: every `BEAT` seconds it writes the time, by the database's clock. A supervisor
without a beat for `TTL` ms is lost. But silence has two causes. If the database was away, or all processes were
stopped, no supervisor could beat, and the first one to return would declare all others lost. So a supervisor that was
silent itself, for `GAP` ms, declares none lost until it has beaten for `STEADY` ms without such a gap: by then every
living supervisor has beaten too.

Example: A owns 2 jobs, B none, and 3 come. They go to B, B and A. B hangs: 2 s later A claims B's two as well, and 3 s
after that it declares B lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Seconds between beats, and between checks for missing ones.
BEAT = 1.0
# Milliseconds of silence after which a supervisor is lost.
TTL = 5000
# Milliseconds without an own beat after which the silence of others proves nothing.
GAP = TTL // 2
# Milliseconds in which all living supervisors return once the database does: they try every second.
STEADY = 3000
# Seconds that a job waits for the supervisor that should claim it.
CLAIM_SECONDS = 2.0


def share_out(unowned: Iterable[int], loads: Mapping[int, int]) -> dict[int, int]:
    """The supervisor that should claim each unowned job, by job.

    `loads`: how many jobs each living supervisor has; if it is empty, no job is assigned.
    """
    heap = [(load, supervisor) for supervisor, load in loads.items()]
    heapq.heapify(heap)
    shares: dict[int, int] = {}
    for job in sorted(unowned) if heap else ():
        load, supervisor = heap[0]
        heapq.heapreplace(heap, (load + 1, supervisor))
        shares[job] = supervisor
    return shares


@dataclass(frozen=True, slots=True)
class Pulse:
    """The heartbeats of one supervisor, as that supervisor records them (ms by the database's clock)."""

    last: int
    steady_since: int

    @classmethod
    def begin(cls, now: int) -> Pulse:
        return cls(now, now)

    def beat(self, now: int) -> Pulse:
        steady = 0 <= now - self.last < GAP  # else this process was away, or the clock was set
        return Pulse(now, self.steady_since if steady else now)

    def may_judge(self) -> bool:
        """Whether this supervisor may declare others lost for their silence."""
        return self.last - self.steady_since >= STEADY
