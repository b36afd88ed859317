"""What tasks took, kept with each task and summed up for each phase."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import count

from scheduler.gateway.job_lists import tasks_after
from scheduler.model.wire import AttemptReport, Outcome, Usage
from scheduler.objects import namespace
from scheduler.supervisor.jobs.usage import phase_usage, usage_document
from tests.support.nodes.instant_agent import failed, ok
from tests.support.services.house import MAP, REDUCE


def taking(answer):
    """`answer`, and the n-th task took n units of everything."""
    numbers = count(1)

    def answered(spec, task) -> AttemptReport:
        n = next(numbers)
        usage = Usage(wall_us=n, user_us=10 * n, sys_us=n, max_rss_kb=n, bytes_in=100 * n, bytes_out=n)
        return replace(answer(spec, task), usage=usage)

    return answered


async def usage_of(house, job: str) -> list[dict[str, object]]:
    row = await house.row(job)
    return await house.db.read(lambda c: phase_usage(c, row))


async def test_a_phase_sums_up_what_its_tasks_took(house):
    names = await house.objects(3)
    job = await house.job(MAP | {"memory": 256}, REDUCE | {"disk": 2})
    await house.give(job, names)
    async with house.agent(answer=taking(ok)):
        await house.archived(job)
    shared = {"tasks": 3, "wall_us": 6, "cpu_us": 66, "max_rss_kb": 3, "bytes_in": 600, "bytes_out": 6}
    fourth = {"tasks": 1, "wall_us": 4, "cpu_us": 44, "max_rss_kb": 4, "bytes_in": 400, "bytes_out": 4}
    assert await usage_of(house, job) == [
        {"phase": 0, "type": "map", "memory": 256, "disk": 8} | shared,
        {"phase": 1, "type": "reduce", "memory": 1024, "disk": 2} | fourth,
    ]


async def test_failed_tasks_are_counted_and_what_the_system_lost_is_not(house):
    tries = count()

    def answer(spec, task) -> AttemptReport:
        if next(tries) == 0:
            return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.LOST)
        return failed(spec, task)

    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=taking(answer)):
        await house.archived(job)
    (sums,) = await usage_of(house, job)
    assert (await house.row(job))["retries"] == 1
    assert (sums["tasks"], sums["wall_us"], sums["bytes_in"]) == (1, 2, 200)


async def test_a_report_handed_in_twice_is_counted_once(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names, end=False)

    def doubled(spec, task) -> AttemptReport:
        return replace(ok(spec, task), usage=Usage(wall_us=5))

    async with house.agent(answer=doubled) as agent:
        await house.until(lambda row: row["outputs"] == 1, job)
        await house.report_again(agent)
        await house.supervisor.end_input(house.live(job))
        await house.archived(job)
    assert [sums["wall_us"] for sums in await usage_of(house, job)] == [5]


async def test_the_archive_says_what_the_tasks_took(house):
    names = await house.objects(2)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=taking(ok)):
        await house.archived(job)
    row = await house.row(job)
    entry = await house.db.read(lambda c: namespace.lookup(c, f"/jill/jobs/{job}/usage.json"))
    assert entry.type == "application/json"
    archived = json.loads(house.blobs.path(entry.etag).read_bytes())
    times = archived.pop("tasks")
    assert (times["of"], len(times["rows"])) == (2, 0)  # this agent does not say when its tasks ran
    assert archived == await house.db.read(lambda c: usage_document(c, row))
    assert archived["phases"][0]["tasks"] == 2


async def test_tasks_are_listed_page_by_page_in_order_of_phases(house):
    names = await house.objects(5)
    other = await house.job(MAP)
    job = await house.job(MAP, MAP, REDUCE)
    await house.give(other, names)
    await house.give(job, names)
    async with house.agent(answer=taking(ok)):
        await house.archived(job)
        await house.archived(other)
    row = await house.row(job)
    pages = []
    after = 0
    while page := await house.db.read(partial(tasks_after, job=row["id"], after=after, limit=3)):
        pages.append(page)
        after = page[-1]["id"]
    tasks = [task for page in pages for task in page]
    assert [len(page) for page in pages] == [3, 3, 3, 2]
    assert [task["phase"] for task in tasks] == [0] * 5 + [1] * 5 + [2]
    assert sorted(task["input"] for task in tasks[:5]) == names
    assert {task["state"] for task in tasks} == {"committed"}
    assert all(json.loads(task["usage"])["wall_us"] for task in tasks)
