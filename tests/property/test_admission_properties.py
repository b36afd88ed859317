"""Accounts share first, and what still runs counts: shares and admission in every constellation."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.admission import admit, extra, memory_taken
from scheduler.engine.fair_share import Capacity, PoolShare, share

claims = st.lists(
    st.builds(
        PoolShare,
        id=st.integers(1, 10_000),
        demand=st.integers(0, 1000),
        instances=st.integers(0, 6),
        memory_mb=st.sampled_from([128, 1024, 4096, 8192]),
        since=st.floats(0, 1000),
        settled=st.booleans(),
        account=st.sampled_from("abc"),
        present=st.integers(0, 6),
    ),
    max_size=12,
    unique_by=lambda pool: pool.id,
)
slots = st.integers(0, 32)
memory = st.integers(64, 65536)
endings = st.integers(0, 8)


def admitted(pools: list[PoolShare], slots: int, memory_mb: int, ending: int = 0) -> dict[int, int]:
    targets = share(pools, Capacity(slots, memory_mb))
    return admit(pools, targets, slots, memory_mb - memory_taken(pools), ending)


def after(pools: list[PoolShare], given_to: dict[int, int]) -> Counter[int]:
    """Instances by pool: none of those that run is gone yet."""
    return Counter({pool.id: max(given_to[pool.id], pool.taken) for pool in pools})


@given(claims, slots, memory, endings)
def test_nothing_begins_beyond_the_slots_and_the_extra_places(pools, slots, memory_mb, ending):
    before = sum(pool.taken for pool in pools)
    then = after(pools, admitted(pools, slots, memory_mb, ending)).total()
    assert then <= max(before, slots + extra(slots) - ending)


@given(claims, slots, memory)
def test_nothing_begins_beyond_the_memory(pools, slots, memory_mb):
    given_to = admitted(pools, slots, memory_mb)
    begun = {pool.id: after(pools, given_to)[pool.id] - pool.taken for pool in pools}
    if any(begun.values()):
        assert sum(after(pools, given_to)[pool.id] * pool.memory_mb for pool in pools) <= memory_mb


@given(claims, slots, memory)
def test_beyond_the_slots_begin_only_first_instances_of_accounts(pools, slots, memory_mb):
    given_to = admitted(pools, slots, memory_mb)
    then = after(pools, given_to)
    held = Counter({pool.account: 0 for pool in pools})
    for pool in pools:
        held[pool.account] += pool.taken
    newcomers = {pool.account for pool in pools if then[pool.id] > pool.taken and not held[pool.account]}
    grown = then.total() - held.total()
    assert grown - len(newcomers) <= max(0, slots - held.total())


@given(claims, st.integers(1, 32))
def test_an_account_that_has_nothing_begins_at_once_while_there_is_an_extra_place(pools, slots):
    stuck = [PoolShare(p.id, p.demand, p.instances, 128, p.since, p.settled, p.account, p.present) for p in pools]
    newcomer = PoolShare(0, 1, 0, 128, since=2000.0, account="newcomer")
    if sum(pool.taken for pool in stuck) >= slots + extra(slots) or len({pool.account for pool in stuck}) >= slots:
        return
    others = [pool for pool in stuck if pool.taken]  # who waits for an extra place as well may be given it first
    assert admitted([*others, newcomer], slots, 1 << 40)[0] == 1


@given(claims, slots, memory)
def test_admission_never_takes_away_what_a_target_leaves(pools, slots, memory_mb):
    targets = share(pools, Capacity(slots, memory_mb))
    given_to = admitted(pools, slots, memory_mb)
    assert all(min(targets[p.id], p.taken) <= given_to[p.id] <= max(targets[p.id], 0) for p in pools)


@given(st.integers(1, 32), st.lists(st.tuples(st.integers(1, 12), st.integers(1, 1000)), min_size=1, max_size=5))
def test_accounts_with_demand_enough_have_the_same_however_many_jobs_they_make(slots, accounts):
    pools = [
        PoolShare(100 * number + job, 1000 * demand, 0, 128, account=str(number))
        for number, (jobs, demand) in enumerate(accounts)
        for job in range(jobs)
    ]
    given_to = share(pools, Capacity(slots, 1 << 40))
    held = Counter({pool.account: 0 for pool in pools})
    for pool in pools:
        held[pool.account] += given_to[pool.id]
    assert max(held.values()) - min(held.values()) <= 1 + max(1, slots // 8)  # the reserve is for first instances


@given(claims, st.integers(1, 32))
def test_every_account_with_demand_gets_an_instance_while_there_are_slots(pools, slots):
    given_to = share(pools, Capacity(slots, 1 << 40))
    wanting = {pool.account for pool in pools if pool.demand}
    served = {pool.account for pool in pools if pool.demand and given_to[pool.id]}
    assert len(served) == min(len(wanting), slots)


def turns(pools: list[PoolShare], slots: int, rounds: int) -> set[int]:
    """Pools that have run, where each task that begins ends three rounds later, and a round is a quantum."""
    memory_mb, ran, running = 1 << 40, set(), []
    for now in range(rounds):
        running = [(pool, end) for pool, end in running if end > now]
        present = Counter(pool for pool, _ in running)
        pools = [
            PoolShare(p.id, 1000, p.instances, 128, p.since, True, p.account, present[p.id]) for p in pools
        ]  # fmt: skip
        given_to = admitted(pools, slots, memory_mb)
        for pool in pools:
            running += [(pool.id, now + 3)] * (given_to[pool.id] - present[pool.id])
        ran |= {pool for pool, _ in running}
        assert len(running) <= slots + extra(slots)
        pools = [
            PoolShare(
                p.id,
                1000,
                given_to[p.id],
                128,
                p.since if given_to[p.id] == p.instances else float(now),
                True,
                p.account,
            )
            for p in pools
        ]
    return ran


@given(st.integers(1, 8), st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_every_pool_has_its_turn_though_tasks_are_long(slots, owners):
    pools = [PoolShare(number, 1000, 0, 128, account=owner) for number, owner in enumerate(owners)]
    assert turns(pools, slots, 8 * len(pools) + 8) == set(range(len(pools)))
