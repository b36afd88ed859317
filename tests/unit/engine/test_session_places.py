"""Places of sessions on a node: who gets one, and who shares the slots."""

from __future__ import annotations

from scheduler.engine.fair_share import PoolShare
from scheduler.engine.session_places import PER_ACCOUNT, places, seats

PLENTY = 1 << 20


def session(number: int, account: str = "jill", taken: int = 0, demand: int = 1, memory_mb: int = 1024) -> PoolShare:
    return PoolShare(number, demand, taken, memory_mb, account=account, present=taken)


def test_a_node_with_slots_has_a_place_for_half_as_many_sessions() -> None:
    assert [places(slots) for slots in (0, 1, 2, 4, 9)] == [0, 1, 1, 2, 4]


def test_an_account_has_some_places_and_the_rest_of_its_sessions_none() -> None:
    sessions = [session(number) for number in range(5)]
    assert seats(sessions, 16, PLENTY) == dict.fromkeys(range(PER_ACCOUNT), 1)
    others = [session(number, f"u{number}") for number in range(5, 9)]
    assert len(seats([*sessions, *others], 16, PLENTY)) == PER_ACCOUNT + 4
    assert len(seats([*sessions, *others], 6, PLENTY)) == 3


def test_a_session_keeps_its_place_whatever_comes() -> None:
    old, new = session(9, taken=1), [session(number) for number in range(4)]
    assert seats([*new, old], 2, 0) == {9: 1}
    assert seats([session(1, taken=1, demand=0), session(2)], 2, PLENTY) == {1: 0}  # as long as its instance is there


def test_what_has_no_memory_has_no_place_and_leaves_it_to_others() -> None:
    large, small = session(1, memory_mb=8192), session(2, memory_mb=256)
    assert seats([large, small], 8, 1024) == {2: 1}
    assert seats([session(1), session(2)], 8, 1500) == {1: 1}


def test_a_session_of_many_inputs_has_one_instance() -> None:
    assert seats([session(1, demand=100)], 8, PLENTY) == {1: 1}
