"""Which tasks go where: near their bytes, unless that would leave them waiting."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.job import Phase, reopened
from scheduler.engine.locality import LOCALITY_WAIT, Home, choose
from scheduler.supervisor.cache.locality_index import LocalityIndex, NodeBacklog

counts = st.integers(0, 100)
homes = st.builds(Home, counts, counts, st.booleans(), st.floats(0, 5), st.floats(0, 5))
others = st.dictionaries(st.sampled_from(["a", "b", "c"]), homes)


@given(counts, counts, counts, others)
def test_no_more_is_chosen_than_is_wanted_and_is_there(limit, own, free, elsewhere):
    chosen = choose(limit, own, free, elsewhere)
    there = {"": own, None: free} | {node: home.ready for node, home in elsewhere.items()}
    assert sum(count for _, count in chosen) <= limit
    assert all(0 < count <= there[node] for node, count in chosen)
    assert len({node for node, _ in chosen}) == len(chosen)


@given(counts, counts, counts, others)
def test_its_own_come_first_and_others_last(limit, own, free, elsewhere):
    taken = Counter(dict(choose(limit, own, free, elsewhere)))
    assert taken[""] == min(limit, own)
    assert taken[None] == min(limit - taken[""], free)


@given(st.integers(1, 100), counts, counts)
def test_a_node_keeps_its_own_for_a_moment_and_while_it_has_room(limit, ready, soon):
    assert choose(limit, 0, 0, {"a": Home(ready, soon, True, LOCALITY_WAIT / 2, LOCALITY_WAIT * 9)}) == []
    assert choose(limit, 0, 0, {"a": Home(ready, soon, False, LOCALITY_WAIT / 2, LOCALITY_WAIT / 2)}) == []


@given(st.integers(1, 100), st.integers(1, 100), counts, st.booleans())
def test_nothing_waits_long_for_a_node_that_does_not_take_it(limit, ready, soon, room):
    assert choose(limit, 0, 0, {"a": Home(ready, soon, room, LOCALITY_WAIT * 2, LOCALITY_WAIT * 2)}) == [
        ("a", min(limit, ready))
    ]


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_node_without_room_gives_what_it_cannot_take_soon(ready, soon):
    given_away = sum(count for _, count in choose(1000, 0, 0, {"a": Home(ready, soon, False, 0.0, LOCALITY_WAIT * 2)}))
    assert given_away == max(0, ready - soon)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from("ab"), st.integers(-5, 5))))
def test_what_belongs_to_nodes_is_counted_whatever_the_order(moves):
    """A task may be leased before it is known to be ready."""
    located, expected = LocalityIndex(), Counter()
    for pool, node, count in moves:
        located.update({(pool, node): count}, 0.0)
        expected[pool, node] += count
    for pool in (1, 2):
        assert dict(located.of(pool)) == {n: c for (p, n), c in expected.items() if p == pool and c}


def test_a_node_is_idle_from_when_it_could_have_taken_one():
    located = LocalityIndex()
    located.update({(1, "a"): 5}, 10.0)
    assert idle_and_waiting(located, 13.0) == (3.0, 3.0)
    located.took(1, {"a": 2}, "a", 13.0)
    assert idle_and_waiting(located, 14.0) == (1.0, 4.0)
    located.took(1, {"a": 1}, "b", 14.0)  # another was given one: the node has still taken none
    assert idle_and_waiting(located, 15.0) == (2.0, 5.0)
    located.took(1, {"a": 2}, "a", 15.0)
    located.update({(1, "a"): 1}, 99.0)
    assert idle_and_waiting(located, 99.0) == (0.0, 0.0)


def idle_and_waiting(located: LocalityIndex, now: float) -> tuple[float, float]:
    backlog = located.backlog(1, "a")
    return now - backlog.took, now - backlog.since


def test_the_pace_of_a_node_is_that_of_the_better_of_two_seconds():
    backlog = NodeBacklog(100, 0.0, 0.0)
    backlog.take(3, 10.1)
    backlog.take(4, 10.9)
    backlog.take(2, 11.2)
    assert (backlog.pace(11.3), backlog.pace(12.0), backlog.pace(13.0)) == (7, 2, 0)


def test_a_phase_is_reopened_while_something_before_it_is_made_again():
    whole, half = Phase(0, 5, 5), Phase(0, 5, 4)
    ended, still_open = Phase(2, 2, 0, True), Phase(2, 2, 0, False)
    assert reopened([whole, ended]) == []
    assert reopened([half, ended]) == [1]
    assert reopened([half, still_open]) == []
    assert reopened([half, ended, ended]) == [1, 2]
    assert reopened([whole, ended, still_open]) == []
