"""A loop that does not turn is reported while it does not, by the name of what holds it up."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from scheduler.common import watchdog
from scheduler.common.watchdog import watched
from tests.support.eventually import eventually

STALL = 0.1


def hold_up_the_loop(reports: list[logging.LogRecord]) -> None:
    """Block until it is reported."""
    deadline = time.monotonic() + 20
    while not reports and time.monotonic() < deadline:  # in here, since the report names the innermost function
        time.sleep(0.01)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """What the watchdog logs, from whichever thread."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler = Keep()
    watchdog.log.addHandler(handler)
    yield found
    watchdog.log.removeHandler(handler)


async def until_it_has_turned(stalls: list[float], times: int = 1) -> None:
    await eventually(lambda: len(stalls) >= times, "the loop turns again")


async def test_a_stall_is_reported_with_the_task_and_the_function_that_cause_it(reports: list[logging.LogRecord]):
    stalls: list[float] = []

    async def careless() -> None:
        hold_up_the_loop(reports)

    with watched("gateway", stalls.append, STALL):
        asyncio.current_task().set_name("request 17 GET /x")  # type: ignore[union-attr]
        await careless()
        await until_it_has_turned(stalls)
    stalled, turns = reports
    assert (stalled.getMessage(), turns.getMessage()) == ("event loop is stalled", "event loop runs again")
    assert stalled.loop == "gateway" and stalled.seconds > STALL
    assert stalled.task.startswith("request 17 GET /x (test_a_stall_is_reported")
    inner, outer = (line.partition(" (")[0] for line in stalled.stack[:2])
    assert inner == "hold_up_the_loop" and outer.endswith("careless")
    assert turns.seconds == pytest.approx(stalls[0], abs=0.01) and stalls[0] >= stalled.seconds


async def test_a_plain_callback_is_reported_by_its_stack(reports: list[logging.LogRecord]):
    stalls: list[float] = []
    with watched("agent", stalls.append, STALL):
        asyncio.get_running_loop().call_soon(hold_up_the_loop, reports)
        await until_it_has_turned(stalls)
    assert reports[0].task is None
    assert reports[0].stack[0].startswith("hold_up_the_loop (")


async def test_a_second_stall_soon_after_is_counted_and_not_reported(reports: list[logging.LogRecord]):
    stalls: list[float] = []
    with watched("agent", stalls.append, STALL):
        hold_up_the_loop(reports)
        await until_it_has_turned(stalls)
        time.sleep(4 * STALL)
        await until_it_has_turned(stalls, 2)
    assert len(stalls) >= 2
    assert [record.getMessage() for record in reports] == ["event loop is stalled", "event loop runs again"]


async def test_a_loop_that_turns_is_not_reported(reports: list[logging.LogRecord]):
    stalls: list[float] = []
    with watched("agent", stalls.append, stall_seconds=30):
        await asyncio.sleep(3 * watchdog.BEAT_SECONDS)
    assert (stalls, reports) == ([], [])


async def test_nothing_is_left_of_a_watchdog():
    with watched("agent"):
        pass
    assert not asyncio.get_running_loop()._scheduled or all(  # type: ignore[attr-defined]
        timer.cancelled()
        for timer in asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    )
