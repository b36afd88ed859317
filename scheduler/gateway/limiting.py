"""Limits of accounts at the gateway: the rate of requests, and what may be stored and started.

The rate is a token bucket for each account and gateway: it fills at the account's rate, up to ten seconds of it. A
request that finds it empty is refused with 429 and the seconds after which it is worth a try. Callers without an
account share a bucket by their address.

What an account stores is counted by reading its names, which takes longer the more there are. So it is counted at most
once in `FRESH` seconds, and seldom enough that counting takes a hundredth of the time; what this gateway admits
meanwhile is added. The bound is therefore soft: gateways together may admit some more until the next count, and tasks
that run already may still store outputs, while no new job is accepted.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import Counter

from scheduler.model import errors, limits
from scheduler.model.limits import Limits
from scheduler.records import accounts
from scheduler.records.database import Database

BURST_SECONDS = 10
MOST_BUCKETS = 10_000
FRESH = 10.0
SHARE = 100
DEFAULTS_SECONDS = 5.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: `level` requests may come now; it was that at `at` (monotonic seconds)."""

    level: float
    at: float

    def take(self, rate: float, now: float) -> float:
        """Take one; returns 0, or the seconds until there is one."""
        self.level = min(rate * BURST_SECONDS, self.level + (now - self.at) * rate)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / rate


@dataclass(slots=True)
class Stored:
    """What an account stores, as it was counted, with what was admitted since."""

    objects: int = 0
    bytes: int = 0
    until: float = 0.0
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limiter:
    """The limits of one gateway."""

    def __init__(self, db: Database, refused: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._refused = refused
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._defaults: str | None = None
        self._defaults_until = 0.0

    async def limits_of(self, own: str | None) -> Limits:
        """The limits of an account with these of its own (JSON)."""
        if self._clock() >= self._defaults_until:
            self._defaults = await self._db.read(accounts.default_limits)
            self._defaults_until = self._clock() + DEFAULTS_SECONDS
        return limits.merged(self._defaults, own)

    def check_rate(self, who: str, most: Limits) -> None:
        """Count a request. Raises WireError 429 if there are too many."""
        if most.requests is None:
            return
        now = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = Bucket(most.requests * BURST_SECONDS, now)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        if most.requests == 0 or (wait := bucket.take(most.requests, now)):
            seconds = 60 if most.requests == 0 else max(1, math.ceil(wait))
            self._count("requests")
            raise errors.too_many_requests(who, most.requests, seconds)

    async def check_jobs(self, login: str, most: Limits) -> None:
        """Raises WireError if the account may not have one more job."""
        if most.jobs is not None:
            found = await self._db.read(lambda c: c.one("count_open_jobs", owner=login))
            if found is not None and found["n"] >= most.jobs:
                self._count("jobs")
                raise errors.over_limit(f"{login} has {found['n']} jobs that go on, of at most {most.jobs}: "
                                        "wait for one of them, or cancel it")  # fmt: skip
        await self.check_stored(login, most, 0, 0)

    def check_inputs(self, login: str, most: Limits, inputs: int) -> None:
        """Raises WireError if a job may not have so many inputs."""
        if most.inputs is not None and inputs > most.inputs:
            self._count("inputs")
            raise errors.over_limit(f"the job would have {inputs} inputs, and jobs of {login} have at most "
                                    f"{most.inputs}: divide them among jobs")  # fmt: skip

    async def check_stored(self, login: str, most: Limits, objects: int, size: int) -> None:
        """Admit so many more objects and bytes. Raises WireError if the account would have too many.

        With 0 of both it is asked whether the account is over a limit already.
        """
        if most.bytes is None and most.objects is None:
            return
        stored = await self._counted(login)
        if most.bytes is not None and stored.bytes + size > most.bytes:
            self._count("bytes")
            raise errors.over_quota(f"{login} stores {stored.bytes} bytes, of at most {most.bytes}: delete objects")
        if most.objects is not None and stored.objects + objects > most.objects:
            self._count("objects")
            raise errors.over_quota(f"{login} has {stored.objects} objects, of at most {most.objects}: delete some")
        stored.objects += objects
        stored.bytes += size

    async def _counted(self, login: str) -> Stored:
        stored = self._stored.setdefault(login, Stored())
        self._stored.move_to_end(login)
        if len(self._stored) > MOST_BUCKETS:
            self._stored.popitem(last=False)
        async with stored.counting:
            if (began := self._clock()) >= stored.until:
                found = await self._db.read(lambda c: accounts.stored_of(c, login))
                stored.objects, stored.bytes = found.objects, found.bytes
                stored.until = self._clock() + max(FRESH, SHARE * (self._clock() - began))
        return stored

    def _count(self, name: str) -> None:
        self._refused.labels(name).inc()
