"""The number of tasks that a pool holds, and the number that it hands to a lackey ahead of time.

An instance must never wait for the agent between two tasks, and a task must never wait behind
another while an instance is idle elsewhere. Both follow from *time*: tasks of a pool take about as
long as the ones before, so each queue holds a fixed amount of work, not of tasks:

- about 80 ms in the lackey's own queue, which it takes without a round trip to us;
- about 200 ms per instance in all, which covers a report, a commit and a poll reply. Less lets instances wait: with
  half of it, tasks of 1 ms left a tenth of two processors idle.

Meanwhile the agent looks away from a lackey that has enough to do: to be woken by each end costs
more than to read it. So ends are read, concluded and replaced by further tasks several at a time.

Tasks of 1.5 ms: 53 are handed ahead and 133 leased per instance. Tasks of a second: one runs, none
waits. Tasks that wait behind one that turns out long are recalled; and when all running tasks turn
out long, the waiting ones go back to the supervisor, which may have other nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

AHEAD_US = 80_000
LEASED_US = 200_000
MAX_AHEAD = 64
MAX_LEASED = 192
# From a lackey with so much work behind its running task the agent looks away for a third of that, at most so long.
PLENTY_US = 20_000
AWAY_US = 20_000
# A task that has run this long is long: the tasks behind it start sooner elsewhere.
RECALL_US = 250_000
# Weight of the newest sample: the last dozen tasks decide.
WEIGHT = 0.125


@dataclass(slots=True)
class Pace:
    """Moving average of the time that a task of a pool takes, in microseconds; None before the first has ended."""

    average_us: float | None = None

    def add(self, wall_us: int) -> None:
        sample = float(max(wall_us, 1))
        self.average_us = sample if self.average_us is None else self.average_us + WEIGHT * (sample - self.average_us)

    def doubt(self) -> None:
        """Discard the average: all running tasks take long."""
        self.average_us = max(self.average_us or 0.0, float(RECALL_US))

    def ahead(self) -> int:
        """The number of tasks that one lackey may hold, including the running one."""
        return self._count(AHEAD_US, MAX_AHEAD)

    def leased(self) -> int:
        """The number of tasks per instance that the agent may hold."""
        return self._count(LEASED_US, MAX_LEASED)

    def away_seconds(self, waiting: int) -> float:
        """Seconds for which the agent looks away from a lackey with so many tasks behind its running one."""
        work_us = waiting * (self.average_us or 0.0)
        return min(work_us / 3, AWAY_US) / 1e6 if work_us >= PLENTY_US else 0.0

    def _count(self, work_us: int, most: int) -> int:
        if self.average_us is None:
            return 1
        return max(1, min(most, int(work_us / self.average_us)))


def room(pace: Pace, instances: int, held: int, blocking: bool) -> int:
    """The number of tasks that a pool asks for now; `held` counts queued and running ones.

    Zero while two thirds are there: a request for three tasks costs as much as one for forty.
    """
    each = 1 if blocking else pace.leased()
    enough = max(instances, instances * each * 2 // 3)
    return instances * each - held if held < enough else 0
