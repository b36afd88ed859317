"""Shares of a node among supervisors, whatever each of them uses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.max_min import max_min_share

TOTALS = st.integers(0, 64)
USES = st.lists(st.integers(0, 64), max_size=6)


def parts(total: int, uses: list[int]) -> list[int]:
    return [max_min_share(total, uses[:index] + uses[index + 1 :]) for index in range(len(uses))]


def test_the_example_of_the_module() -> None:
    assert parts(8, [1, 5, 0]) == [4, 7, 3]
    assert parts(8, [1, 4, 3]) == [2, 4, 3]


@given(TOTALS)
def test_one_that_is_alone_has_everything(total: int) -> None:
    assert max_min_share(total, []) == max_min_share(total, [0, 0]) == total


@given(TOTALS, USES)
def test_nobody_gets_less_than_an_equal_part_or_more_than_there_is(total: int, others: list[int]) -> None:
    assert total // (len(others) + 1) <= max_min_share(total, others) <= total


@given(TOTALS, USES)
def test_what_others_do_not_use_is_there_to_be_used(total: int, others: list[int]) -> None:
    assert max_min_share(total, others) >= total - sum(others)


@given(TOTALS, USES)
def test_whoever_keeps_to_his_part_leaves_the_others_theirs(total: int, uses: list[int]) -> None:
    if all(use <= may for use, may in zip(uses, parts(total, uses), strict=True)):
        assert sum(uses) <= total


@given(TOTALS, st.lists(st.integers(0, 64), min_size=1, max_size=6))
def test_it_comes_to_rest_with_everything_in_use(total: int, demands: list[int]) -> None:
    """Each takes in turn what it is told and can use: soon nothing changes, and nothing that is wanted is idle."""
    uses = [0] * len(demands)
    for _ in range(len(demands) + 1):
        before = list(uses)
        for index, demand in enumerate(demands):
            uses[index] = min(demand, parts(total, uses)[index])
    assert uses == before
    assert sum(uses) == min(total, sum(demands)) or total < len(demands)
    assert all(use >= min(demand, total // len(demands)) for use, demand in zip(uses, demands, strict=True))


@given(TOTALS, USES, st.integers(0, 64))
def test_one_that_uses_more_never_gives_another_more(total: int, others: list[int], more: int) -> None:
    assert max_min_share(total, [*others, more]) <= max_min_share(total, others)
