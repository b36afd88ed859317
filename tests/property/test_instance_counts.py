"""How many instances are booked, and where: what holds for all claims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.fair_share import Capacity
from scheduler.engine.instance_counts import (
    Demand,
    ScaleDownDelay,
    choose_survivors,
    dampen_scale_down,
    limit_growth,
    per_pool,
    place_instances,
    split,
)

NAMES = st.sampled_from(["n1", "n2", "n3"])
PLACES = st.none() | NAMES
COUNTS = st.dictionaries(PLACES, st.integers(1, 40), max_size=4)
ASKED = st.dictionaries(PLACES, st.integers(0, 8), max_size=4)
NODES = st.dictionaries(
    NAMES, st.builds(Capacity, st.integers(0, 8), st.integers(0, 16).map(lambda gib: gib * 1024)), max_size=3
)
CLAIMS = st.lists(
    st.builds(
        Demand,
        pool=st.integers(1, 6),
        memory_mb=st.sampled_from([128, 1024, 8192]),
        demand=COUNTS | st.just({}),
        asked=ASKED,
        open=st.booleans(),
        settled=st.booleans(),
    ),
    unique_by=lambda demanded: demanded.pool,
    max_size=6,
)


def test_a_pool_gets_what_a_node_has_there_and_the_rest_anywhere():
    nodes = {name: Capacity(2, 8192) for name in ("n1", "n2", "n3")}
    demanded = Demand(7, 1024, {"n1": 90, None: 30})
    assert per_pool([demanded], nodes) == {7: 5}
    assert place_instances(demanded, 5, nodes) == {"n1": 2, None: 3}


@given(CLAIMS, NODES)
def test_no_more_is_wanted_than_there_is(demands, nodes):
    found = per_pool(demands, nodes)
    memory = sum(node.memory_mb for node in nodes.values())
    slots = sum(node.slots for node in nodes.values())
    for is_open, part in ((False, memory), (True, memory // 2)):
        ours = [demanded for demanded in demands if demanded.open is is_open]
        assert sum(found[demanded.pool] for demanded in ours) <= slots
        assert sum(found[demanded.pool] * demanded.memory_mb for demanded in ours) <= part


@given(CLAIMS, NODES)
def test_who_has_nothing_to_do_wants_nothing(demands, nodes):
    found = per_pool(demands, nodes)
    for demanded in demands:
        assert found[demanded.pool] <= sum(demanded.demand.values())


@given(CLAIMS, NODES, st.dictionaries(st.integers(1, 6), st.integers(0, 20)))
def test_what_was_had_lately_is_kept_only_where_there_is_room(demands, nodes, lately):
    given_now = per_pool(demands, nodes)
    held = dampen_scale_down(given_now, lately, demands, nodes)
    memory = sum(node.memory_mb for node in nodes.values())
    for demanded in demands:
        assert (
            given_now[demanded.pool]
            <= held[demanded.pool]
            <= max(given_now[demanded.pool], lately.get(demanded.pool, 0))
        )
    assert sum(held[demanded.pool] * demanded.memory_mb for demanded in demands if not demanded.open) <= memory


@given(st.integers(0, 30), COUNTS, ASKED, st.dictionaries(NAMES, st.integers(0, 8)))
def test_a_split_is_whole_and_no_node_gets_more_than_its_room(number, demand, asked, rooms):
    found = split(number, demand, asked, rooms)
    assert sum(found.values()) == number
    for place, count in found.items():
        assert count >= 0
        if place is not None and count:
            assert count <= rooms[place]


@given(st.integers(0, 12), COUNTS, st.dictionaries(NAMES, st.integers(0, 8)))
def test_what_is_split_once_stays_as_it_is(number, demand, rooms):
    found = split(number, demand, {}, rooms)
    assert split(number, demand, found, rooms) == found


@given(ASKED, ASKED)
def test_places_grow_by_what_all_are_short_of(wanted, asked):
    wanted = dict.fromkeys(asked, 0) | wanted
    found = limit_growth(wanted, asked)
    more = sum(max(0, found[place] - asked.get(place, 0)) for place in found)
    assert more <= max(0, sum(wanted.values()) - sum(asked.values()))
    assert all(found[place] <= wanted[place] for place in found)


@given(st.dictionaries(NAMES, st.integers(0, 8)), st.integers(0, 20), ASKED, st.dictionaries(NAMES, st.integers(0, 9)))
def test_as_many_are_kept_as_are_wanted(booked, number, pinned, busy):
    kept = choose_survivors(number, booked, pinned, busy)
    assert sum(kept.values()) == min(number, sum(booked.values()))
    assert all(0 <= kept[node] <= booked[node] for node in booked)


def test_a_number_rises_at_once_and_falls_after_a_while():
    steady = ScaleDownDelay(5.0)
    assert steady.update({1: 3}, 0.0) == {1: 3}
    assert steady.update({1: 5}, 1.0) == {1: 5}
    assert steady.update({1: 2}, 5.9) == {1: 5}
    assert steady.update({1: 2}, 6.0) == {1: 2}
    assert steady.update({}, 7.0) == {}
