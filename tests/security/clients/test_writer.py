"""All writers of a cluster share one transaction at a time, so no request may make a long one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.gateway import jobs
from scheduler.model.job import parse_job
from scheduler.records import accounts
from scheduler.records.database import Connection, Database
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.control import cancelling
from scheduler.supervisor.jobs import intake, retention
from scheduler.supervisor.jobs.cancel import PAGE
from tests.support.services.records import open_new

READY = PAGE + 10


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_new(tmp_path / "remora.db")
    await opened.write(lambda c: accounts.create(c, "jill", 1))
    yield opened
    opened.close()


@pytest.fixture
async def live(db: Database) -> LiveJob:
    """A job whose only phase has more ready tasks than one transaction should change."""
    spec = parse_job({"phases": [{"exec": "wc"}]})

    def make(c: Connection) -> LiveJob:
        made = intake.create_job(c, "jill", spec, 1)
        (pool,) = made.pools
        task = {"pool": pool, "input": "/jill/stor/a", "origin": None, "blob": "b", "size": 1}
        rest = {"md5": None, "availability": 0, "node": None, "producer": None, "producer_output": None, "now": 1}
        c.many("insert_map_task", [task | rest | {"uuid": f"{number}"} for number in range(READY)])
        c.run("count_issued", pool=pool, count=READY)
        return made

    return await db.write(make)


async def in_state(db: Database, live: LiveJob, state: str) -> int:
    (pool,) = live.pools

    def count(c: Connection) -> int:
        found: int = c.plain(f"SELECT count(*) AS n FROM tasks WHERE pool = {pool} AND state = '{state}'")[0]["n"]
        return found

    return await db.read(count)


async def test_a_cancel_changes_a_page_of_tasks_and_the_rest_before_the_job_is_archived(db: Database, live: LiveJob):
    await db.write(lambda c: cancelling.cancel_open(c, live, 2))
    assert await in_state(db, live, "cancelled") == PAGE
    await retention.reap_job(db, lambda blobs: None, live)
    assert await in_state(db, live, "cancelled") == READY


async def test_nothing_of_a_cancelled_job_is_started(db: Database, live: LiveJob):
    (pool,) = live.pools
    assert await db.write(lambda c: len(c.all("lease_tasks", pool=pool, agent=None, limit=1, now=1))) == 1
    await db.write(lambda c: cancelling.cancel_open(c, live, 2))
    assert await in_state(db, live, "ready") > 0
    assert await db.write(lambda c: c.all("lease_tasks", pool=pool, agent=None, limit=1, now=1)) == []
    assert await db.write(lambda c: c.all("lease_tasks_at", pool=pool, agent=None, node="n", limit=1, now=1)) == []


def test_lines_of_input_are_recorded_so_much_at_a_time():
    long, short = b"x" * jobs.MAX_LINE, b"y"
    lines = [long] * 300 + [short] * 3000
    batches = list(jobs.batches(lines))
    assert [line for batch in batches for line in batch] == lines
    assert max(sum(map(len, batch)) for batch in batches) <= jobs.INPUT_BATCH_BYTES
    assert max(map(len, batches)) <= jobs.INPUT_BATCH
    assert list(jobs.batches([])) == []
