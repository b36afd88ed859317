"""Who owns which job, and who may say that an owner is gone.

Each job has one owner among the supervisors that live. Claims are transactions, and those come
one after the other, so whoever claims sees what all others own by then. So no hash has to deal
the jobs out in advance: *who has fewest gets the next one*. Everybody works out the same list,
and takes the jobs that it gives to himself; a job that has an owner never moves while that
lives; and shares differ by one job at most, however few there are.

The one who should claim a job may hang, and for some seconds nobody can know. So a job that is
still nobody's after `LOCALITY_WAIT` seconds is for whoever looks.

A supervisor lives while it beats: it writes down the time, every `BEAT` seconds, by the
database's clock. One that was not heard of for `TTL` ms is lost. But silence has two causes.
If the database was away, or all processes were stopped, nobody was heard of, and the first to
come back would bury all the others. So who was silent himself, for half as long, judges nobody until
he has beaten for `STEADY` ms without such a gap: until then whoever lives has beaten too.

Example: A owns 2 jobs, B none, and 3 come. They go to B, B and A. B hangs: 2 s later A claims
B's two as well, 3 s after that it calls B lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Seconds between beats, and between looks for whom they are missing from.
BEAT = 1.0
# Milliseconds of silence after which a supervisor is lost.
TTL = 5000
# Milliseconds without a beat of one's own that make others' silence mean nothing.
GAP = TTL // 2
# Milliseconds in which all who live come back once the database does: they try every second.
STEADY = 3000
# Seconds that a job waits for the one who should claim it.
DEAD_AFTER_SECONDS = 2.0


def share_out(unowned: Iterable[int], loads: Mapping[int, int]) -> dict[int, int]:
    """Job → supervisor. `loads`: how many jobs each living supervisor has; empty: nobody gets any."""
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
    """The beats of one supervisor, as it knows them itself (ms by the database's clock)."""

    last: int
    steady_since: int

    @classmethod
    def begin(cls, now: int) -> Pulse:
        return cls(now, now)

    def beat(self, now: int) -> Pulse:
        steady = 0 <= now - self.last < GAP  # else it was away itself, or the clock was set
        return Pulse(now, self.steady_since if steady else now)

    def may_judge(self) -> bool:
        """Whether the silence of others means that they are gone."""
        return self.last - self.steady_since >= STEADY
