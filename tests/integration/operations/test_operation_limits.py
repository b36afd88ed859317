"""Limits of an operation: each is a sentence that says what to change, and nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.model.operations import document
from scheduler.model.wire import AttemptReport, PoolSpec, TaskLease
from scheduler.supervisor.operations import planning
from tests.support.operations.reader import Reader
from tests.support.operations.running import content, operation, over, put, result
from tests.support.services.house import House


async def test_too_many_outputs_of_all_tasks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_STAGED", 5)
    await put(house, "/jill/stor/in", b"1\n2\n3\n")
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        if spec.counting:
            return reader(spec, task)
        made = [reader.printed(spec, task, b"x").outputs[0] for _ in range(2)]
        return replace(reader.printed(spec, task, b""), outputs=made)

    output = {"path": "/jill/stor/out/"}
    uuid = await operation(
        house, type="map", inputs=["/jill/stor/in"], output=output, spec={"exec": "mpipe", "task_count": 3}
    )
    await over(house, uuid, answer, expected="failed")
    assert (await result(house, uuid))["error"]["message"] == (
        "the operation has made 6 outputs, of at most 5: make fewer tasks (a larger task_size), "
        "or fewer outputs in each (mpipe)"
    )
    assert await content(house, "/jill/stor/out") == {}


async def test_too_many_tasks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_TASKS", 2)
    await put(house, "/jill/stor/in", b"1\n2\n3\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat", "task_size": 1})
    await over(house, uuid, expected="failed")
    message = (await result(house, uuid))["error"]["message"]
    assert message == "the operation would have 6 tasks, of at most 2: give task_size 1 MiB or more"
