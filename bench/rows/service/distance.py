"""Supervisors beside a PostgreSQL that answers in 5 ms: what distance costs, and whether a second supervisor helps.

A transaction waits for the server several times, and one writes at a time in the whole cluster (D14). So a supervisor
far from its database is slower than one beside it, and two take turns; D35 says why that is so. Each supervisor is a
process, as in a cluster, and so is the distance.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bench.measure import Bar, Line, SkippedError, interleave
from bench.peers.distance import far_away
from bench.rows.service import supervising
from bench.setting import Setting
from scheduler.common.process import collect_seldom
from tests.support.services.postgres import DURABLE, NoPostgresError, Postgres, server

ROUND_TRIP = 0.005
SPAWN = multiprocessing.get_context("spawn")


def lines(setting: Setting) -> Iterator[Line]:
    try:
        with server(DURABLE) as running, far_away(running.host, running.port, ROUND_TRIP) as port:
            yield from measured(setting, running, port)
    except NoPostgresError as error:
        raise SkippedError(str(error)) from None


def measured(setting: Setting, running: Postgres, port: int) -> Iterator[Line]:
    count = setting.size(10_000, 500)
    numbers = itertools.count()

    def rate(url: str, supervisors: int) -> float:
        """Tasks a second of so many supervisors, each with a job of its own, at the same time."""
        barrier, started = SPAWN.Barrier(supervisors), []
        for number in range(supervisors):
            ours, theirs = SPAWN.Pipe(duplex=False)
            place = setting.directory(f"distance-{next(numbers)}")
            words = (theirs, barrier, place, count, url, f"{supervising.LOGIN}{number}")
            started.append((SPAWN.Process(target=supervise, args=words), ours))
        for process, _ in started:
            process.start()
        rates = [result.recv() for _, result in started]
        for process, _ in started:
            process.join()
        return float(supervisors * min(rates))  # until the last has ended

    def turn(far: bool, supervisors: int) -> float:
        name = running.create().split("/")[3].split("?")[0]
        near = running.url(name)
        return rate(near.replace(f":{running.port}/", f":{port}/") if far else near, supervisors)

    near, one, two = interleave(setting.rounds, lambda: turn(False, 1), lambda: turn(True, 1), lambda: turn(True, 2))
    what = f"on PostgreSQL that answers in {1000 * ROUND_TRIP:g} ms"
    yield Line(f"supervisor alone, {what}", "tasks/s", one, Bar(), "beside it", near)
    yield Line(f"two supervisors, {what}", "tasks/s", two, Bar(goal=1.7), "one", one)


def supervise(result: Connection, barrier: Barrier, directory: Path, count: int, url: str, login: str) -> None:
    """Measure one supervisor, in a process of its own."""
    collect_seldom()
    result.send(asyncio.run(supervising.completions(directory, count, url, login, False, barrier.wait)))
