"""Reports on their way: what is removed of them, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest

from scheduler.agent.client import FullError, UnavailableError
from scheduler.agent.links.report_queue import DROPPED_BYTES, ReportQueue
from scheduler.agent.log import Log
from scheduler.common.background import TaskSet
from scheduler.common.ids import new_id
from scheduler.model.wire import AttemptId, AttemptReport, BlobRef, Outcome, OutputRecord
from scheduler.objects.blobs import EMPTY_MD5


class Disk:
    """The stores of a node, of which only the removals are of interest."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def discard(self, blobs: Iterable[str]) -> None:
        self.removed += blobs

    async def durable(self, blobs: Iterable[BlobRef]) -> None:
        pass


async def ask(action: Callable[[], Awaitable[None]]) -> None:
    """Repeat a request until it is answered."""
    while True:
        try:
            return await action()
        except (UnavailableError, FullError):
            await asyncio.sleep(0)


def large() -> AttemptReport:
    output = OutputRecord(name="/jill/stor/x", blob=BlobRef(id=new_id(), size=DROPPED_BYTES, md5=EMPTY_MD5))
    return AttemptReport(task=1, attempt=1, outcome=Outcome.OK, outputs=[output])


FULL, LOST, VOID, RECORDED = "full", "lost", "void", "recorded"


@pytest.mark.parametrize(
    ("answers", "is_removed"),
    [
        ([RECORDED], False),
        ([VOID], True),
        ([FULL, RECORDED], True),
        ([LOST, RECORDED], False),
        ([LOST, FULL, RECORDED], False),  # the first may have been recorded: its outputs are objects then
        ([LOST, FULL, LOST, VOID], True),
    ],
    ids=str,
)
async def test_outputs_are_removed_only_if_they_cannot_have_been_recorded(answers: list[str], is_removed: bool) -> None:
    disk: Any = Disk()
    given = iter(answers)

    async def send(batch: Sequence[AttemptReport], began: Sequence[AttemptId]) -> list[AttemptId]:
        answer = next(given)
        if answer == FULL:
            raise FullError("the records have no space")
        if answer == LOST:
            raise UnavailableError("the connection broke")
        return [AttemptId(task=1, attempt=1)] if answer == VOID else []

    closing = TaskSet(Log().unexpected)
    reports = ReportQueue(disk, send, ask, closing, Log())
    report = large()
    reports.add(report)
    await reports.hand_in()
    await asyncio.gather(*closing.tasks)
    assert next(given, None) is None and reports.is_empty
    assert (disk.removed == [report.outputs[0].blob.id]) is is_removed
