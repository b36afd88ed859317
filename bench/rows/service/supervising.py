"""The control plane alone: the tasks that it completes a second if tasks take no time.

A supervisor on a real database in this process, and an agent that answers every lease at
once with an empty output. From the end of input to the end of the job: dispatch, leases,
commits, and an object record for each output, all durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.measure import Bar, Line, interleave
from bench.setting import Setting
from scheduler.common.ids import new_id
from scheduler.common.process import collect_seldom
from scheduler.model.job import parse_job
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5, BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Database, open_database
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.supervisor import Supervisor
from tests.support.nodes.instant_agent import InstantAgent, with_agent

LOGIN = "jill"
PAGE = 500


def lines(setting: Setting) -> Iterator[Line]:
    count = setting.size(20_000, 2000)
    numbers = iter(range(1000))
    collect_seldom()  # as a supervisor's process does

    def turn() -> float:
        return asyncio.run(completions(setting.directory(f"supervisor-{next(numbers)}"), count))

    (ours,) = interleave(setting.rounds, turn)
    yield Line("supervisor alone", "tasks/s", ours, Bar(5000, 13_000, absolute=True))


async def completions(
    directory: Path,
    count: int,
    url: str | None = None,
    login: str = LOGIN,
    alone: bool = True,
    together: Callable[[], object] = lambda: None,
    whole: bool = False,
) -> float:
    """Tasks a second of one map job with `count` inputs; records in a file, or where `url` says.

    `whole`: from the creation of the job on, while its inputs are given, too; else from their end. Not `alone`: other
    supervisors use these records at the same time; `together` waits until all of them begin.
    """
    db, blobs = open_database(url or directory / "db"), BlobStore(directory / "blobs")
    supervisor = Supervisor(db, blobs, lambda: time.time_ns() // 1_000_000, "{}/{}".format, alone=alone)
    await db.write(lambda c: accounts.create(c, login, 0))
    await supervisor.start()
    try:
        started = time.perf_counter()
        uuid = await supervisor.create_job(login, parse_job({"phases": [{"exec": "true"}]}))
        live = supervisor.jobs.by_uuid(uuid)
        assert live is not None
        await give_inputs(db, supervisor, live, count, login)
        await asyncio.to_thread(together)
        started = started if whole else time.perf_counter()
        await supervisor.end_input(live)
        await with_agent(InstantAgent(supervisor, remembers=False), asyncio.ensure_future(ended(live)))
        return count / (time.perf_counter() - started)
    finally:
        await supervisor.stop()
        db.close()
        blobs.close()


async def give_inputs(db: Database, supervisor: Supervisor, live: LiveJob, count: int, login: str) -> None:
    for start in range(0, count, PAGE):
        new = [NewObject(f"/{login}/stor/o{n}", new_id(), 0, EMPTY_MD5) for n in range(start, min(count, start + PAGE))]
        await db.write(partial(namespace.put_objects, objects=new, now=1))
        await supervisor.add_inputs(live, [each.path for each in new])


async def ended(live: LiveJob) -> None:
    while not live.done:
        await live.changed.wait()
