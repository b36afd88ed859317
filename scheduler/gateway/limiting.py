"""Limits at the gateway, of each account and of all together: the rate of requests, and what may be stored and started.

The rate is a token bucket for each account and gateway, and one for all accounts: it fills at its rate, up to ten
seconds of it. A request that finds one empty is refused with 429 and the seconds after which it is worth a try. Callers
without an account have a bucket by their address.

What is stored is counted by reading names, which takes longer the more there are. So it is counted at most once in
`FRESH` seconds, and seldom enough that counting takes a hundredth of the time; what this gateway admits meanwhile is
added. The bound is therefore soft: gateways together may admit some more until the next count, and tasks that run
already may still store outputs, while no new job is accepted.
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
from scheduler.model.limits import Limits, Totals
from scheduler.records import accounts
from scheduler.records.database import Database, select

BURST_SECONDS = 10
MOST_BUCKETS = 10_000
FRESH = 10.0
SHARE = 100
SERVICE_SECONDS = 5.0  # for which the service's own limits are not read again
ALL = "all accounts"
MORE = ", or ask the operator for more (remora limits --in-all)"


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
    """What an account stores, or all do, as it was counted, with what was admitted since."""

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
        self._service: str | None = None
        self._service_until = 0.0

    async def limits_of(self, own: str | None) -> Limits:
        """The limits of an account with these of its own (JSON)."""
        return limits.merged(await self._of_service(), own)

    async def _of_service(self) -> str | None:
        if self._clock() >= self._service_until:
            self._service = await self._db.read(accounts.default_limits)
            self._service_until = self._clock() + SERVICE_SECONDS
        return self._service

    async def check_rate(self, who: str, most: Limits) -> None:
        """Count a request. Raises WireError 429 if there are too many, of the caller or in all."""
        self._take(who, most.requests)
        self._take(ALL, limits.totals(await self._of_service()).requests)

    def _take(self, who: str, rate: int | None) -> None:
        if rate is None:
            return
        now = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = Bucket(rate * BURST_SECONDS, now)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        if rate == 0 or (wait := bucket.take(rate, now)):
            self._count("requests")
            raise errors.too_many_requests(who, rate, 60 if rate == 0 else max(1, math.ceil(wait)))

    async def check_jobs(self, login: str, most: Limits) -> None:
        """Raises WireError if the account may not have one more job."""
        if most.jobs is not None:
            (found,) = await self._db.read(select("count_open_jobs", owner=login))
            self._compare_jobs(login, found["n"], most.jobs, "")
        if (in_all := limits.totals(await self._of_service()).jobs) is not None:
            (found,) = await self._db.read(select("count_open_jobs_in_all"))
            self._compare_jobs(ALL, found["n"], in_all, MORE)
        await self.check_stored(login, most, 0, 0)

    def _compare_jobs(self, who: str, open_jobs: int, most: int, more: str) -> None:
        if open_jobs >= most:
            self._count("jobs")
            said = f"{open_jobs} jobs of {who} go on, of at most {most}: wait for one of them, or cancel it{more}"
            raise errors.over_limit(said)

    def check_inputs(self, login: str, most: Limits, inputs: int) -> None:
        """Raises WireError if a job may not have so many inputs."""
        if most.inputs is not None and inputs > most.inputs:
            self._count("inputs")
            raise errors.over_limit(f"the job would have {inputs} inputs, and jobs of {login} have at most "
                                    f"{most.inputs}: divide them among jobs")  # fmt: skip

    async def check_stored(self, login: str, most: Limits, objects: int, size: int) -> None:
        """Admit so many more objects and bytes. Raises WireError if the account would have too many, or all would.

        With 0 of both it is asked whether there are too many already.
        """
        bounds: dict[str, Limits | Totals] = {login: most, ALL: limits.totals(await self._of_service())}
        admitted = []
        for who, bound in bounds.items():
            if bound.bytes is not None or bound.objects is not None:
                admitted.append(await self._counted(who))
                self._compare_stored(who, admitted[-1], bound, objects, size, MORE if who == ALL else "")
        for stored in admitted:
            stored.objects += objects
            stored.bytes += size

    def _compare_stored(
        self, who: str, stored: Stored, most: Limits | Totals, objects: int, size: int, more: str
    ) -> None:
        if most.bytes is not None and stored.bytes + size > most.bytes:
            self._count("bytes")
            said = f"{stored.bytes} bytes of {who} are stored, of at most {most.bytes}: delete objects{more}"
            raise errors.over_quota(said)
        if most.objects is not None and stored.objects + objects > most.objects:
            self._count("objects")
            said = f"{stored.objects} objects of {who} are stored, of at most {most.objects}: delete some{more}"
            raise errors.over_quota(said)

    async def _counted(self, who: str) -> Stored:
        """What an account stores; `ALL`: what all do."""
        stored = self._stored.setdefault(who, Stored())
        self._stored.move_to_end(who)
        if len(self._stored) > MOST_BUCKETS:
            self._stored.popitem(last=False)
        async with stored.counting:
            if (began := self._clock()) >= stored.until:
                found = await self._db.read(lambda c: accounts.stored_of(c, None if who == ALL else who))
                stored.objects, stored.bytes = found.objects, found.bytes
                stored.until = self._clock() + max(FRESH, SHARE * (self._clock() - began))
        return stored

    def _count(self, name: str) -> None:
        self._refused.labels(name).inc()
