"""What waits for a condition returns its answer, and fails in the words that it was given."""

from __future__ import annotations

import pytest

from tests.support.eventually import eventually, eventually_here


async def test_the_first_true_answer_is_returned() -> None:
    answers = iter([0, "", "yes", "no"])

    async def later() -> object:
        return next(answers)

    assert await eventually(later, "an answer") == "yes"
    assert eventually_here(lambda: next(answers), "another") == "no"


async def test_a_condition_that_never_holds_is_an_error_that_names_it() -> None:
    with pytest.raises(AssertionError, match="not within 0 s: the agent has an instance"):
        await eventually(lambda: None, "the agent has an instance", 0)
    with pytest.raises(AssertionError, match="not within 0 s: Nomad is idle"):
        eventually_here(lambda: None, "Nomad is idle", 0)


def test_a_condition_is_asked_at_least_once() -> None:
    assert eventually_here(lambda: "held already", "it holds", 0)
