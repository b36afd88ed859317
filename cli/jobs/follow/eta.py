"""How long a job will take: bounds from the pace of its tasks so far.

Two paces are known: that since the watching began, and that of the last seconds. Tasks are rarely alike, so the rest
of the job is said to take a time between what the two would need. Nothing is said while inputs may still come, or
before enough tasks have ended. Tasks of later phases come into being as the job goes on, so with several phases only
the lower bound holds.

Example: 400 tasks, 120 done in 10 s, of these 30 in the last 5 s: 280 are left, at 12/s or 6/s: `ETA 23s-47s`.
"""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 10.0
ENOUGH = 3  # tasks that have ended, before a pace is believed


class Pace:
    """The numbers of tasks that were done, and when (seconds, never going back)."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._first: tuple[float, int] | None = None

    def saw(self, now: float, done: int) -> None:
        self._first = self._first or (now, done)
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()

    def bounds(self, left: int) -> tuple[float, float] | None:
        """The shortest and the longest time that so many tasks would take, in seconds; None if there is no pace yet."""
        if self._first is None or self._seen[-1][1] - self._first[1] < ENOUGH:
            return None
        (now, done), rates = self._seen[-1], []
        for then, before in (self._first, self._seen[0]):
            if now > then and done > before:
                rates.append((done - before) / (now - then))
        return (left / max(rates), left / min(rates)) if rates else None


def shown(bounds: tuple[float, float], *, phases: int) -> str:
    """`ETA 23s-47s`, `ETA 40s`, or of several phases `ETA over 23s`."""
    low, high = (span(seconds) for seconds in bounds)
    if phases > 1:
        return f"ETA over {low}"
    return f"ETA {low}" if low == high else f"ETA {low}-{high}"


def span(seconds: float) -> str:
    """`47s`, `3m20s`, `2h05m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole // 60 % 60:02}m"
