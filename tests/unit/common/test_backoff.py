"""The pauses between tries, and the background tasks of one component."""

from __future__ import annotations

import asyncio

from scheduler.common.background import TaskSet
from scheduler.common.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.2, 1.0)
    assert backoff.fresh
    assert [backoff.next() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert not backoff.fresh


def test_success_begins_anew() -> None:
    backoff = Backoff(0.2, 1.0)
    backoff.next()
    backoff.reset()
    assert backoff.fresh
    assert backoff.next() == 0.2


async def test_a_failure_of_a_background_task_is_told_once() -> None:
    failures: list[BaseException] = []
    tasks, error = TaskSet(failures.append), OSError("no")

    async def fail() -> None:
        raise error

    await asyncio.wait([tasks.spawn(fail())])
    await asyncio.sleep(0)
    assert failures == [error]
    assert not tasks.tasks


async def test_background_tasks_end_together_and_no_failure_is_told() -> None:
    failures: list[BaseException] = []
    tasks = TaskSet(failures.append)
    running = [tasks.spawn(asyncio.Event().wait()) for _ in range(3)]
    await tasks.end()
    assert all(task.cancelled() for task in running)
    assert not failures
    assert not tasks.tasks
