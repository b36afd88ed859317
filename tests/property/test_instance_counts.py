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
from scheduler.engine.session_places import places

NAMES = st.sampled_from(["n1", "n2", "n3"])
PLACES = st.none() | NAMES
COUNTS = st.dictionaries(PLACES, st.integers(1, 40), max_size=4)
ASKED = st.dictionaries(PLACES, st.integers(0, 8), max_size=4)
NODES = st.dictionaries(
    NAMES, st.builds(Capacity, st.integers(0, 8), st.integers(0, 16).map(lambda gib: gib * 1024)), max_size=3
)
CLAIMS = st.lists(
    st.builds(
        lambda kind, **about: Demand(open=kind == "open", session=kind == "session", **about),
        pool=st.integers(1, 6),
        memory_mb=st.sampled_from([128, 1024, 8192]),
        demand=COUNTS | st.just({}),
        asked=ASKED,
        kind=st.sampled_from(["steady", "open", "session"]),
        settled=st.booleans(),
    ),
    unique_by=lambda demanded: demanded.pool,
    max_size=6,
)


def slots_of(nodes):
    return sum(node.slots for node in nodes.values())


def held_by_sessions(demands):
    """Memory of sessions that have an instance: they keep their places, also when nodes are gone."""
    return sum(demanded.memory_mb for demanded in demands if demanded.session and sum(demanded.asked.values()))


def test_sessions_begin_beyond_slots_that_are_all_taken_as_far_as_there_is_memory():
    nodes = {name: Capacity(2, 4096) for name in ("n1", "n2")}
    busy = Demand(7, 1024, {None: 90}, asked={None: 3}, settled=False, account="jill")
    first, second, third = (Demand(number, 1024, {None: 1}, session=True, account="jill") for number in (1, 2, 3))
    assert per_pool([busy, first, second], nodes, 4) == {1: 1, 2: 1, 7: 3}
    assert per_pool([busy, first, second, third], nodes, 4) == {1: 1, 2: 1, 3: 1, 7: 2}  # in a slot, as any task
    large = Demand(4, 4096, {None: 1}, session=True, account="jill")
    assert sum(per_pool([busy, large], nodes, 4).values()) == 3
    used_by_others = {name: Capacity(0, 4096) for name in nodes}
    assert per_pool([first], used_by_others, 4) == {1: 1}


def test_a_pool_gets_what_a_node_has_there_and_the_rest_anywhere():
    nodes = {name: Capacity(2, 8192) for name in ("n1", "n2", "n3")}
    demanded = Demand(7, 1024, {"n1": 90, None: 30})
    assert per_pool([demanded], nodes, 6) == {7: 5}
    assert place_instances(demanded, 5, nodes) == {"n1": 2, None: 3}


def test_while_a_node_without_an_agent_may_be_chosen_more_instances_are_wanted_on_the_others_by_name():
    nodes = {"n1": Capacity(3, 8192), "n2": Capacity(2, 8192)}
    demanded = Demand(7, 1024, {None: 90}, {None: 2})
    assert place_instances(demanded, 5, nodes) == {None: 5}
    assert place_instances(demanded, 5, nodes, anywhere=False) == {None: 2, "n1": 2, "n2": 1}
    assert place_instances(demanded, 5, nodes, {(7, "n1")}, anywhere=False) == {None: 2, "n2": 3}
    assert place_instances(demanded, 5, {}, anywhere=False) == {None: 5}  # there is no other
    assert place_instances(demanded, 1, nodes, anywhere=False) == {None: 1}


@given(CLAIMS, NODES)
def test_by_name_no_more_are_wanted_and_none_anywhere_but_those_that_are_asked_for(demands, nodes):
    for demanded in demands:
        number = sum(demanded.demand.values())
        named = place_instances(demanded, number, nodes, anywhere=False)
        assert sum(named.values()) <= number
        if nodes:
            assert named.get(None, 0) <= demanded.asked.get(None, 0)


@given(CLAIMS, NODES)
def test_no_more_is_wanted_than_there_is(demands, nodes):
    slots = slots_of(nodes)
    found = per_pool(demands, nodes, slots)
    memory = sum(node.memory_mb for node in nodes.values())
    for is_open, part in ((False, memory), (True, memory // 2)):
        ours = [demanded for demanded in demands if demanded.open is is_open]
        beyond = min(places(slots), sum(demanded.session for demanded in ours))
        assert sum(found[demanded.pool] for demanded in ours) <= slots + beyond
        assert sum(found[demanded.pool] * demanded.memory_mb for demanded in ours) <= max(part, held_by_sessions(ours))


@given(CLAIMS, NODES)
def test_who_has_nothing_to_do_wants_nothing(demands, nodes):
    found = per_pool(demands, nodes, slots_of(nodes))
    for demanded in demands:
        assert found[demanded.pool] <= sum(demanded.demand.values())


@given(CLAIMS, NODES, st.dictionaries(st.integers(1, 6), st.integers(0, 20)))
def test_what_was_had_lately_is_kept_only_where_there_is_room(demands, nodes, lately):
    slots = slots_of(nodes)
    given_now = per_pool(demands, nodes, slots)
    held = dampen_scale_down(given_now, lately, demands, nodes, slots)
    memory = sum(node.memory_mb for node in nodes.values())
    for demanded in demands:
        assert (
            given_now[demanded.pool]
            <= held[demanded.pool]
            <= max(given_now[demanded.pool], lately.get(demanded.pool, 0))
        )
    closed = [demanded for demanded in demands if not demanded.open]
    assert sum(held[demanded.pool] * demanded.memory_mb for demanded in closed) <= max(memory, held_by_sessions(closed))


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
