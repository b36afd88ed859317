"""How many tasks an agent asks for and hands ahead, as a function of how long they take."""

from __future__ import annotations

import pytest

from scheduler.agent.pools.pacing import Pace, room


def pace(wall_us: int) -> Pace:
    result = Pace()
    result.add(wall_us)
    return result


@pytest.mark.parametrize(
    ("wall_us", "ahead", "leased"),
    [
        (0, 64, 192),
        (1_500, 53, 133),
        (5_000, 16, 40),
        (50_000, 1, 4),
        (200_000, 1, 1),
        (3_600_000_000, 1, 1),
    ],
)
def test_short_tasks_are_handed_ahead_and_long_ones_are_not_hoarded(wall_us: int, ahead: int, leased: int) -> None:
    assert (pace(wall_us).ahead(), pace(wall_us).leased()) == (ahead, leased)


def test_before_anything_is_known_one_task_is_held() -> None:
    assert (Pace().ahead(), Pace().leased()) == (1, 1)


def test_a_dozen_long_tasks_outweigh_many_short_ones() -> None:
    mixed = pace(1_000)
    for _ in range(12):
        mixed.add(200_000)
    assert mixed.ahead() == 1


def test_room_is_what_instances_hold_less_what_is_held_once_a_third_is_free() -> None:
    assert room(pace(5_000), instances=2, held=10, blocking=False) == 70
    assert room(pace(5_000), instances=2, held=100, blocking=False) == 0
    assert room(pace(5_000), instances=2, held=53, blocking=False) == 0
    assert room(pace(5_000), instances=2, held=52, blocking=False) == 28
    assert room(pace(5_000), instances=0, held=0, blocking=False) == 0


def test_an_idle_instance_is_never_left_without_a_task_for_the_sake_of_batches() -> None:
    for wall_us in (50_000, 75_000, 200_000):
        for held in range(100):
            assert room(pace(wall_us), instances=100, held=held, blocking=False) >= 100 - held


def test_a_reducer_never_waits_behind_another() -> None:
    assert room(pace(10), instances=3, held=1, blocking=True) == 2


@pytest.mark.parametrize(
    ("average_us", "waiting", "seconds"),
    [
        (None, 0, 0.0),
        (1_500, 31, 0.0155),  # many short tasks
        (3_500, 13, 0.015),  # fewer, that take as long together
        (9_000, 8, 0.02),  # at most so long
        (1_500, 13, 0.0),  # it may soon want more
        (5_000_000, 0, 0.0),  # nothing waits behind the running task, whose end is news
    ],
)
def test_the_agent_looks_away_for_a_third_of_what_a_lackey_has_to_do(average_us, waiting, seconds):
    assert Pace(average_us).away_seconds(waiting) == pytest.approx(seconds, rel=0.02)
