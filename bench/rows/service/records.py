"""The cost of PostgreSQL: the same work with the records on it and on SQLite, in turns.

One line is a whole job of many small objects through a service with its agent, the other the supervisor alone,
whose work is on records only. The server is a private one on this machine, reached by its socket, and durable: a
commit is on disk when it returns, on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

from bench.measure import Bar, Line, SkippedError, interleave
from bench.rows.jobs import many_objects
from bench.rows.service import supervising
from bench.setting import Setting, described
from scheduler.common.process import collect_seldom
from tests.support.services.postgres import DURABLE, NoPostgresError, Postgres, server

BAR = Bar(goal=0.75)


def lines(setting: Setting) -> Iterator[Line]:
    collect_seldom()  # as a supervisor's process does
    try:
        with server(DURABLE) as running:
            yield whole_job(setting, running)
            yield supervisor(setting, running)
    except NoPostgresError as error:
        raise SkippedError(str(error)) from None


def whole_job(setting: Setting, running: Postgres) -> Line:
    """The line of a whole job."""
    count = setting.size(10_000, 200)
    with (
        Setting(setting.directory("records-a"), options=("--database", running.create())) as one,
        Setting(setting.directory("records-b")) as other,
    ):
        turns = []
        for each in (one, other):
            _, objects = many_objects.prepare(each, count)
            many_objects.one_job(each, objects[:100])  # a first job warms the service up
            turns.append(partial(rate, each, objects))
        ours, theirs = interleave(setting.rounds, *turns)
    what = f"{count:,} objects through {described(many_objects.SCRIPT)}, on PostgreSQL"
    return Line(what, "tasks/s", ours, BAR, "SQLite", theirs)


def rate(setting: Setting, objects: list[str]) -> float:
    return many_objects.one_job(setting, objects)[0]


def supervisor(setting: Setting, running: Postgres) -> Line:
    """The line of the supervisor alone."""
    count = setting.size(20_000, 1000)
    numbers = iter(range(1000))

    def turn(on_postgres: bool) -> float:
        url = running.create() if on_postgres else None
        return asyncio.run(supervising.completions(setting.directory(f"records-{next(numbers)}"), count, url))

    ours, theirs = interleave(setting.rounds, partial(turn, True), partial(turn, False))
    return Line("supervisor alone, on PostgreSQL", "tasks/s", ours, BAR, "SQLite", theirs)
