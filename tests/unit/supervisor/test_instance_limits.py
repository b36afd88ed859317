"""An account's limit on instances bounds what its pools may have on a node, with what they have on other nodes."""

from __future__ import annotations

from types import SimpleNamespace

from scheduler.engine.fair_share import PoolShare
from scheduler.model.limits import Limits
from scheduler.supervisor.agents.pool_specs import shorter
from scheduler.supervisor.agents.targets import Allowed


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


def test_a_task_runs_no_longer_than_its_phase_and_its_account_allow():
    assert [shorter(a, b) for a, b in ((None, None), (5, None), (None, 7), (5, 7), (9, 7))] == [None, 5, 7, 5, 7]
