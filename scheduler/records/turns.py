"""Turns of the writer: which of the works that wait the next commit carries.

A group is as slow as its slowest work, and pages of hundreds of rows would make every small write wait. So works that
concern more than `MANY` rows are *bulk*, and only they ever wait for a turn. Each work is done for some accounts, and
bulk of one gives way to other accounts, not to its own. An account is *active* for a moment after each small work of
its, and *heavy* for a while after bulk of its own; three rules follow:

- Where no other account is active, bulk waits for nothing, and a few bulk works share a commit (`ALONE`).
- Beside active accounts that are not heavy, a bulk work is the only one in its commit, and the next bulk rests as long
  as that commit took. So bulk has half of the writer's time. What waits at the instant of the decision is no measure: a
  client that sends one request after the other has none there when its last was answered (deceptive idleness; the
  remedy is anticipation, Iyer and Druschel 2001).
- Heavy accounts take turns, one bulk work each, and do not rest for each other.

Example: jill records 100,000 inputs, in pages of 5 ms, and 4 of them are committed together. bob creates a job, and
adds an input 5 ms later. His first write waits for the commit that has begun; from then on each page is committed
alone, with a pause of 5 ms behind it, in which bob's other writes find the writer free, or nearly. A tenth of a second
after the last of them jill has the writer to herself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

MANY = 64  # inputs, tasks or reports up to which a work is small
ALONE = 4  # bulk works in a commit, where no other account is active
ACTIVE_SECONDS = 0.1  # a job's next write comes sooner, also after a short task
HEAVY_SECONDS = 1.0
Accounts = frozenset[str]
NO_ACCOUNTS: Accounts = frozenset()


class Turn(Protocol):
    """A work that waits for its turn. `accounts`: those that it is done for; none, if it is for the service itself."""

    @property
    def bulk(self) -> bool: ...
    @property
    def accounts(self) -> Accounts: ...


T = TypeVar("T", bound=Turn)


@dataclass(slots=True)
class RecentAccounts:
    """The accounts that were noted in the last `seconds`."""

    seconds: float
    _until: dict[str, float] = field(default_factory=dict)  # in the order of these times

    def note(self, accounts: Collection[str], now: float) -> None:
        for account in accounts:
            self._until.pop(account, None)
            self._until[account] = now + self.seconds

    def but(self, accounts: Collection[str], now: float) -> set[str]:
        """All but these."""
        while self._until and self._until[first := next(iter(self._until))] <= now:
            del self._until[first]
        return self._until.keys() - accounts


class WriterTurns(Generic[T]):
    """The works that wait for the writer. Times are seconds of one clock, and never run backwards."""

    def __init__(self) -> None:
        self._small: list[T] = []
        self._bulk: dict[Accounts, deque[T]] = {}  # in the order of their turns
        self._active, self._heavy = RecentAccounts(ACTIVE_SECONDS), RecentAccounts(HEAVY_SECONDS)
        self._rested = 0.0  # when bulk that rests may go on

    @property
    def small(self) -> int:
        """The number of small works that wait."""
        return len(self._small)

    def add(self, work: T, now: float) -> None:
        """Have a work wait for its turn."""
        if not work.bulk:
            self._small.append(work)
            self._active.note(work.accounts, now)
            return
        self._bulk.setdefault(work.accounts, deque()).append(work)
        if len(work.accounts) == 1:  # reports of many tasks may be about one of another account, too
            self._heavy.note(work.accounts, now)

    def patience(self, now: float) -> float | None:
        """Seconds until a work has its turn, if no other comes; None if none waits."""
        if self._small:
            return 0.0
        if not self._bulk:
            return None
        return 0.0 if self._room(now) else self._rested - now

    def take(self, now: float, most: int) -> list[T]:
        """The works of the next commit, of which at most `most` are small."""
        group, self._small = self._small[:most], self._small[most:]
        if self._bulk and (room := self._room(now)):
            accounts = next(iter(self._bulk))
            waiting = self._bulk.pop(accounts)
            group += [waiting.popleft() for _ in range(min(room, len(waiting)))]
            if waiting:
                self._bulk[accounts] = waiting
        return group

    def take_any(self, most: int) -> list[T]:
        """At most `most` of the works that wait, whosever turn it is."""
        works = [*self._small, *(work for waiting in self._bulk.values() for work in waiting)]
        self._small, self._bulk = works[most:], {}
        return works[:most]

    def committed(self, group: Collection[T], began: float, now: float) -> None:
        """Record that the commit of a group has taken from `began` to `now`."""
        if any(work.bulk for work in group):
            self._rested = now + (now - began)

    def _room(self, now: float) -> int:
        """The number of bulk works that the next commit may carry."""
        accounts = next(iter(self._bulk))
        others = self._active.but(accounts, now)
        if not others and len(self._bulk) == 1:
            return ALONE
        rests = now < self._rested and not others <= self._heavy.but(accounts, now)
        return 0 if rests else 1
