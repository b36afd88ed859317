"""Growth: the cost of one unit of work where there are many, against where there are few.

Whatever the service keeps, its costs must follow the work that is asked for and not what there is already. So each line
compares the cost of a unit at a large size with that at a small one, in the same turn, and its bar is a growth of a
tenth: tasks of a job with 100 times as many, names put into a directory that has many, one job after another.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.rows.jobs import one_object
from bench.rows.service import supervising
from bench.setting import Setting
from cli.client.jobs import Jobs
from scheduler.common.ids import new_blob_id
from scheduler.common.process import collect_seldom
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import open_database

FLAT = Bar(1.1, at_most=True)
PAGE = 500
LOGIN = "jill"
MD5 = "DMF1ucDxtqgxw5niaXcmYQ=="  # of "a": an object without bytes is in no index of blobs


def lines(setting: Setting) -> Iterator[Line]:
    collect_seldom()
    yield from tasks(setting)
    yield names(setting)
    yield jobs(setting)


def tasks(setting: Setting) -> Iterator[Line]:
    """The lines of tasks: a supervisor alone, whose tasks take no time.

    The inputs are given within that time: of few, all have become tasks by their end, and of many, some.
    """
    few, *many = setting.size((1000, 10_000, 100_000), (200, 400, 800))
    numbers = itertools.count()

    def cost(count: int) -> float:
        repeats = max(1, many[0] // count)  # so that the small size is measured for as long as the next
        places = [setting.directory(f"growth-{next(numbers)}") for _ in range(repeats)]
        rates = [asyncio.run(supervising.completions(place, count, whole=True)) for place in places]
        return 1e6 * sum(1 / rate for rate in rates) / repeats

    small, *large = interleave(setting.rounds, *(partial(cost, count) for count in (few, *many)))
    for count, costs in zip(many, large, strict=True):
        yield Line(f"supervisor alone, {count:,} inputs", "us/task", costs, FLAT, f"{few:,} inputs", small)


def names(setting: Setting) -> Line:
    """The line of names in one directory, put by pages."""
    few, many = setting.size((1000, 100_000), (500, 2000))
    numbers = itertools.count()
    pairs = [fill(setting.directory(f"names-{next(numbers)}"), few, many) for _ in range(setting.rounds)]
    small, large = zip(*pairs, strict=True)
    return Line(f"names put into a directory of {many:,}", "us/name", large, FLAT, f"of {few:,}", small)


def fill(directory: Path, few: int, many: int) -> tuple[float, float]:
    """Microseconds a name, for the page that follows the first `few` names, and for the one that follows `many`."""
    number = itertools.count()
    with closing(open_database(directory / "db")) as db:

        async def put(count: int) -> float:
            pages = [
                [NewObject(f"/{LOGIN}/stor/{next(number):08}", new_blob_id(), 1, MD5) for _ in range(PAGE)]
                for _ in range(count // PAGE)
            ]
            loop = asyncio.get_running_loop()
            started = loop.time()
            for page in pages:
                await db.write(partial(namespace.put_objects, objects=page, now=1))
            return 1e6 * (loop.time() - started) / (len(pages) * PAGE)

        async def both() -> tuple[float, float]:
            await db.write(lambda c: accounts.create(c, LOGIN, 0))
            await put(few)
            small = await put(4 * PAGE)
            await put(many)
            return small, await put(4 * PAGE)

        return asyncio.run(both())


def jobs(setting: Setting) -> Line:
    """The line of small jobs, one after the other: the last hundred against the first."""
    count, some = setting.size((1000, 100), (12, 4))
    mine = Jobs(setting.session)
    path = f"{setting.home}/growth"
    mine.session.call("PUT", path, body=one_object.TEXT)
    one_object.run(mine, path)
    took = [1000 * seconds(lambda: one_object.run(mine, path)) for _ in range(count)]
    what = f"one-object jobs, the last {some} of {count:,}"
    return Line(what, "ms/job", [sum(took[-some:]) / some], FLAT, f"the first {some}", [sum(took[:some]) / some])
