"""Limits at the gateway, of each account and of all together: the rate of requests, and what may be stored and started.

The rate is a token bucket for each account and gateway, and one for all accounts: it fills at its rate, up to ten
seconds of it. A request that finds one empty waits for its token, a second at most: so a client on a few connections is
slowed to the rate, also one that does not wait when it is told to. One that would wait longer is refused with 429 and
the seconds after which it is worth a try. Callers without an account have a bucket by their address.

A refusal costs nearly as much as the request would have. So a caller who does not care, and is refused more than once a
second, waits a second for each: on 32 connections it gets 32 refusals a second, whatever it sends. A client that waits
as it was told never notices.

Below all limits the callers share one event loop. So their requests take turns (`common.waiting.Turns`): each turn of
the loop begins at most `AT_ONCE` requests of each caller, and a caller with one request waits for so many of each
other, not for all that another has sent. Who sends is known after authentication only; a connection waits in the queue
of the caller of its last request, at first in that of its address.

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
from typing import NoReturn

from prometheus_client import Counter

from scheduler.common.waiting import Turns
from scheduler.model import errors, limits
from scheduler.model.errors import WireError
from scheduler.model.limits import Limits, Totals
from scheduler.records import accounts
from scheduler.records.database import Database, select

BURST_SECONDS = 10
PATIENCE_SECONDS = 1.0  # for which a request waits for its token
MOST_BUCKETS = 10_000
FRESH = 10.0
SHARE = 100
AT_ONCE = 8  # requests of a caller that begin in a turn of the event loop: a ms or two
SERVICE_SECONDS = 5.0  # for which the service's own limits are not read again
ALL = "all accounts"
REFUSED_SECONDS = 1.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: `level` requests may come now; it was that at `at` (monotonic seconds)."""

    level: float
    at: float

    def take(self, rate: float, now: float, patience: float) -> float:
        """Take one that is there within `patience` seconds; returns when. None is taken if that is later."""
        self.level = min(rate * BURST_SECONDS, self.level + (now - self.at) * rate)
        self.at = now
        wait = max(0.0, (1 - self.level) / rate)
        if wait <= patience:
            self.level -= 1
        return wait


class Buckets:
    """The buckets of callers, a bounded number of them; those are forgotten that were not used for longest."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def take(self, who: str, rate: float, patience: float = 0.0) -> float:
        """Take one of a caller's, as `Bucket.take` does."""
        now = self._clock()
        bucket = self._of.get(who)
        if bucket is None:
            bucket = self._of[who] = Bucket(rate * BURST_SECONDS, now)
            if len(self._of) > MOST_BUCKETS:
                self._of.popitem(last=False)
        self._of.move_to_end(who)
        return bucket.take(rate, now, patience)

    def give_back(self, who: str) -> None:
        """Return a token of a caller's to its bucket, if that is still remembered."""
        if bucket := self._of.get(who):
            bucket.level += 1


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
        self._requests, self._refusals = Buckets(clock), Buckets(clock)
        self._turns: OrderedDict[str, Turns] = OrderedDict()
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._service: str | None = None
        self._service_until = 0.0

    async def turn(self, who: str) -> None:
        """Return when it is this caller's turn to begin a request."""
        turns = self._turns.get(who)
        if turns is None:
            turns = self._turns[who] = Turns(AT_ONCE)
            if len(self._turns) > MOST_BUCKETS:
                self._turns.popitem(last=False)
        self._turns.move_to_end(who)
        await turns.mine()

    async def limits_of(self, own: str | None) -> Limits:
        """The limits of an account with these of its own (JSON)."""
        return limits.merged(await self._of_service(), own)

    async def _of_service(self) -> str | None:
        if self._clock() >= self._service_until:
            self._service = await self._db.read(accounts.default_limits)
            self._service_until = self._clock() + SERVICE_SECONDS
        return self._service

    async def check_rate(self, who: str, most: Limits) -> None:
        """Wait until a request may begin. Raises WireError 429 if there are too many, of the caller or in all.

        A refusal costs no token, also where the caller had one and all together had none.
        """
        taken: list[str] = []
        for whose, rate in ((who, most.requests), (ALL, limits.totals(await self._of_service()).requests)):
            if rate is None:
                continue
            wait = self._requests.take(whose, rate, PATIENCE_SECONDS) if rate else 60.0
            if wait > PATIENCE_SECONDS:
                for each in taken:
                    self._requests.give_back(each)
                await self._refuse("requests", who, errors.too_many_requests(whose, rate, math.ceil(wait)))
            taken.append(whose)
            if wait:
                await asyncio.sleep(wait)

    async def check_jobs(self, login: str, most: Limits) -> None:
        """Raises WireError if the account may not have one more job."""
        if most.jobs is not None:
            (found,) = await self._db.read(select("count_open_jobs", owner=login))
            await self._compare_jobs(login, login, found["n"], most.jobs)
        if (in_all := limits.totals(await self._of_service()).jobs) is not None:
            (found,) = await self._db.read(select("count_open_jobs_in_all"))
            await self._compare_jobs(login, ALL, found["n"], in_all)
        await self.check_stored(login, most, 0, 0)

    async def _compare_jobs(self, login: str, whose: str, open_jobs: int, most: int) -> None:
        if open_jobs >= most:
            what = f"{open_jobs} jobs of {whose} go on, of at most {most}: wait for one of them, or cancel it"
            await self._refuse("jobs", login, errors.over_limit(what + advice(whose)))

    async def check_inputs(self, login: str, most: Limits, inputs: int) -> None:
        """Raises WireError if a job may not have so many inputs."""
        if most.inputs is not None and inputs > most.inputs:
            said = f"the job would have {inputs} inputs, and jobs of {login} have at most {most.inputs}"
            await self._refuse("inputs", login, errors.over_limit(f"{said}: divide them among jobs"))

    async def check_stored(self, login: str, most: Limits, objects: int, size: int) -> None:
        """Admit so many more objects and bytes. Raises WireError if the account would have too many, or all would.

        With 0 of both it is asked whether there are too many already.
        """
        bounds: dict[str, Limits | Totals] = {login: most, ALL: limits.totals(await self._of_service())}
        admitted = []
        for who, bound in bounds.items():
            if bound.bytes is not None or bound.objects is not None:
                admitted.append(await self._counted(who))
                if found := excess(who, admitted[-1], bound, objects, size):
                    name, said = found
                    await self._refuse(name, login, errors.over_quota(said + advice(who)))
        for stored in admitted:
            stored.objects += objects
            stored.bytes += size

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

    async def _refuse(self, limit: str, who: str, error: WireError) -> NoReturn:
        """Refuse a caller, who waits for that if it happens often. Raises the error."""
        self._refused.labels(limit).inc()
        if self._refusals.take(who, 1.0):
            await asyncio.sleep(REFUSED_SECONDS)
        raise error


def excess(who: str, stored: Stored, most: Limits | Totals, objects: int, size: int) -> tuple[str, str] | None:
    """The limit that so many more objects and bytes would exceed, and a sentence about it; None if they would not."""
    if most.bytes is not None and stored.bytes + size > most.bytes:
        return "bytes", f"{stored.bytes} bytes of {who} are stored, of at most {most.bytes}: delete objects"
    if most.objects is not None and stored.objects + objects > most.objects:
        return "objects", f"{stored.objects} objects of {who} are stored, of at most {most.objects}: delete some"
    return None


def advice(whose: str) -> str:
    """The end of a sentence about a limit: whom to ask, if it is that of all."""
    return ", or ask the operator for more (remora limits --in-all)" if whose == ALL else ""
