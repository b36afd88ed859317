"""A limit on instances bounds what pools may have on a node: an account's with what it has elsewhere, that of all by
the node's part.
"""

from __future__ import annotations

from types import SimpleNamespace

from scheduler.engine.fair_share import PoolShare
from scheduler.engine.feasibility import Tiers
from scheduler.model.limits import Limits
from scheduler.supervisor.agents.account_limits import Allowed, node_part, shorter, within
from scheduler.supervisor.agents.session import AgentSession


def allowed(most: int | None, elsewhere: int = 0) -> Allowed:
    jill = SimpleNamespace(owner="jill", limits=Limits(instances=most))
    bob = SimpleNamespace(owner="bob", limits=Limits())
    jobs = SimpleNamespace(by_pool=lambda pool: {1: jill, 2: jill, 3: bob}.get(pool))
    here, there = SimpleNamespace(told={1: 4}), SimpleNamespace(told={2: elsewhere, 3: 9, 77: 1})
    return Allowed(here, jobs, {"here": here, "there": there})


def demands(within: Allowed) -> list[int]:
    owners = {1: "jill", 2: "jill", 3: "bob"}
    return [within(PoolShare(pool, 6, 0, 1024, account=owner)).demand for pool, owner in owners.items()]


def test_the_demand_of_all_pools_of_an_account_together_is_bounded():
    assert demands(allowed(None)) == [6, 6, 6]
    assert demands(allowed(8)) == [6, 2, 6]
    assert demands(allowed(8, elsewhere=5)) == [3, 0, 6]
    assert demands(allowed(2, elsewhere=5)) == [0, 0, 6]


def node(slots: int, **more: int) -> AgentSession:
    return AgentSession(1, "n", slots, Tiers(4096, 10), 0.0, **more)


def parts(most: int | None, *nodes: AgentSession) -> list[int]:
    return [node_part(most, each, nodes) for each in nodes]


def test_the_limit_of_all_is_divided_among_nodes_by_their_slots_and_none_is_locked_out():
    assert parts(None, node(12), node(4)) == [12, 4]
    assert parts(16, node(12), node(4)) == [12, 4]
    assert parts(6, node(12), node(4)) == [5, 2]
    assert parts(1, node(12), node(4)) == [1, 1]
    assert parts(0, node(12), node(4)) == [0, 0]
    assert parts(6, node(12), node(4, draining=True))[0] == 6


def test_of_a_nodes_part_other_supervisors_leave_one_slot():
    assert node(8).usable_slots(8) == 8
    assert node(8, disabled=1, away=3).usable_slots(8) == 4
    assert node(8, away=1).usable_slots(3) == 2
    assert node(8, away=6).usable_slots(3) == 1
    assert node(8, away=6).usable_slots(0) == 0
    assert node(2, disabled=2).usable_slots(1) == 0


def test_a_pools_demand_is_cut_where_it_may_run_anywhere():
    assert within({None: 5, "n1": 2, "n2": 3}, 10) == {"n1": 2, "n2": 3, None: 5}
    assert within({None: 5, "n1": 2, "n2": 3}, 4) == {"n1": 2, "n2": 2}
    assert within({None: 5}, 0) == {}


def test_a_task_runs_no_longer_than_its_phase_and_its_account_allow():
    assert [shorter(a, b) for a, b in ((None, None), (5, None), (None, 7), (5, 7), (9, 7))] == [None, 5, 7, 5, 7]
