"""Supervisors beside a PostgreSQL that answers in 5 ms: what distance costs, and whether a second supervisor helps.

A transaction waits for the server several times, and one writes at a time in the whole cluster (D14). So a supervisor
far from its database is slower than one beside it, and two take turns; D35 says why that is so.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from bench.measure import Bar, Line, SkippedError, interleave
from bench.peers.distance import far_away
from bench.rows.service import supervising
from bench.setting import Setting
from tests.support.services.postgres import DURABLE, NoPostgresError, Postgres, server

ROUND_TRIP = 0.005


def lines(setting: Setting) -> Iterator[Line]:
    try:
        with server(DURABLE) as running, far_away(running.host, running.port, ROUND_TRIP) as port:
            yield from measured(setting, running, port)
    except NoPostgresError as error:
        raise SkippedError(str(error)) from None


def measured(setting: Setting, running: Postgres, port: int) -> Iterator[Line]:
    count = setting.size(10_000, 500)
    numbers = itertools.count()

    async def rate(url: str, supervisors: int) -> float:
        """Tasks a second of so many supervisors, each with a job of its own, at the same time."""
        rates = await asyncio.gather(
            *(
                supervising.completions(
                    setting.directory(f"distance-{next(numbers)}"), count, url, f"{supervising.LOGIN}{number}", False
                )
                for number in range(supervisors)
            )
        )
        return supervisors * min(rates)  # until the last has ended

    def turn(far: bool, supervisors: int) -> float:
        name = running.create().split("/")[3].split("?")[0]
        near = running.url(name)
        return asyncio.run(rate(near.replace(f":{running.port}/", f":{port}/") if far else near, supervisors))

    near, one, two = interleave(setting.rounds, lambda: turn(False, 1), lambda: turn(True, 1), lambda: turn(True, 2))
    what = f"on PostgreSQL that answers in {1000 * ROUND_TRIP:g} ms"
    yield Line(f"supervisor alone, {what}", "tasks/s", one, Bar(), "beside it", near)
    yield Line(f"two supervisors, {what}", "tasks/s", two, Bar(goal=1.7), "one", one)
