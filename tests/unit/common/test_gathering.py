"""Calls that come while an action runs share its next run."""

import asyncio

import pytest

from scheduler.common.gathering import Gathered


class Action:
    """An action that waits until it is told to go on, and squares its items."""

    def __init__(self):
        self.runs = []
        self.go_on = asyncio.Event()

    async def __call__(self, items):
        self.runs.append(list(items))
        await self.go_on.wait()
        return [ValueError(item) if item < 0 else item * item for item in items]


async def test_calls_that_come_during_a_run_form_the_next_one():
    action = Action()
    square = Gathered(action, most=3)
    calls = [asyncio.create_task(square(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls += [asyncio.create_task(square(item)) for item in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    action.go_on.set()
    assert await asyncio.gather(*calls) == [1, 4, 9, 16, 25]
    assert action.runs == [[1], [2, 3, 4], [5]]


async def test_an_exception_is_that_of_its_own_call():
    action = Action()
    action.go_on.set()
    square = Gathered(action, most=9)
    answers = await asyncio.gather(square(2), square(-1), square(3), return_exceptions=True)
    assert answers[::2] == [4, 9]
    assert isinstance(answers[1], ValueError)


async def test_what_the_action_raises_all_callers_get_and_the_next_ones_are_served():
    fails = [True]

    async def act(items):
        if fails.pop():
            raise OSError("the disk refuses")
        return items

    call = Gathered(act, most=9)
    answers = await asyncio.gather(call(1), call(2), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the disk refuses"] * 2
    fails.append(False)
    assert await call(3) == 3


async def test_a_caller_that_is_cancelled_takes_no_other_along():
    action = Action()
    square = Gathered(action, most=9)
    first, second = asyncio.create_task(square(1)), asyncio.create_task(square(2))
    await asyncio.sleep(0)
    first.cancel()
    action.go_on.set()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first
