"""Who claims what, and who may call whom lost: over all numbers of jobs, supervisors, and orders."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.membership import GAP, STEADY, Pulse, share_out

jobs = st.sets(st.integers(1, 10_000), max_size=60)
loads = st.dictionaries(st.integers(1, 50), st.integers(0, 40), min_size=1, max_size=8)


@given(jobs, loads)
def test_every_job_goes_to_exactly_one_living_supervisor(unowned, loads):
    shares = share_out(unowned, loads)
    assert set(shares) == unowned
    assert set(shares.values()) <= set(loads)


@given(jobs, loads)
def test_nobody_gets_a_job_while_another_has_fewer(unowned, loads):
    after = Counter(loads) + Counter(share_out(unowned, loads).values())
    fewest = min(after[each] for each in loads)
    assert all(after[each] <= max(fewest + 1, loads[each]) for each in loads)


def test_without_anybody_nobody_gets_anything():
    assert share_out([1, 2], {}) == {}


@given(jobs, loads, st.randoms(use_true_random=False))
def test_claims_in_any_order_end_with_every_job_claimed_once_and_even_shares(unowned, loads, random):
    expected = Counter(loads) + Counter(share_out(unowned, loads).values())
    left, now, owners = set(unowned), dict(loads), {}
    while left:  # a round: everybody claims once, whoever comes first
        order = sorted(loads)
        random.shuffle(order)
        before = len(left)
        for me in order:
            mine = {job for job, who in share_out(left, now).items() if who == me}
            left -= mine
            now[me] += len(mine)
            owners |= dict.fromkeys(mine, me)
        assert len(left) < before
    assert set(owners) == unowned
    assert sorted(now.values()) == sorted(expected[each] for each in loads)


@given(jobs, loads)
def test_of_a_lost_supervisors_jobs_the_others_get_even_shares_and_keep_their_own(unowned, loads):
    first = share_out(unowned, loads)
    lost = min(loads)
    given_back = {job for job, who in first.items() if who == lost}
    living = {each: load + sum(who == each for who in first.values()) for each, load in loads.items() if each != lost}
    assert set(share_out(given_back, living)) == (given_back if living else set())


beats = st.lists(st.one_of(st.integers(900, 1100), st.integers(-20_000, 100_000)), max_size=60)


@given(beats)
def test_who_was_silent_judges_nobody_before_all_others_had_time_to_beat(steps):
    now = steady = 0
    pulse = Pulse.begin(now)
    for step in steps:
        now += step
        if not 0 <= step < GAP:
            steady = now
        pulse = pulse.beat(now)
        assert pulse.may_judge() == (now - steady >= STEADY)


def test_a_steady_supervisor_may_judge():
    pulse = Pulse.begin(0)
    for now in range(1000, STEADY, 1000):
        pulse = pulse.beat(now)
        assert not pulse.may_judge()
    pulse = pulse.beat(STEADY)
    assert pulse.may_judge()
