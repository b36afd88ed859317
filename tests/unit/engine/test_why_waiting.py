"""The sentence that says why ready tasks do not run: the first fact that is so."""

from __future__ import annotations

import pytest

from scheduler.engine.waiting_reason import BUSY, NO_AGENT, TOO_SMALL, NodeState, limit_reached, why_waiting

FULL = "28 MB of 400 MB are free"


@pytest.mark.parametrize(
    ("nodes", "absent", "sentence"),
    [
        ([], None, NO_AGENT),
        ([], "it ended with status 1", f"{NO_AGENT}: it ended with status 1"),
        ([NodeState("n1", fits=False), NodeState("n2", fits=False, lack=FULL)], None, TOO_SMALL),
        ([NodeState("n1", lack=FULL)], "it ended once", f"node n1 cannot run tasks now: {FULL}"),
        (
            [NodeState("n1", lack=FULL), NodeState("n2", lack=FULL), NodeState("n3", fits=False)],
            None,
            f"node n1 cannot run tasks now: {FULL} (and 1 more node)",
        ),
        ([NodeState("n1", slots=4, disabled=4)], None, "none of the 4 instances of node n1 could be ended"),
        ([NodeState("n1", slots=4, disabled=3)], None, BUSY),
        ([NodeState("n1", lack=FULL), NodeState("n2")], None, BUSY),
    ],
)
def test_the_first_fact_that_is_so_is_the_reason(nodes: list[NodeState], absent: str | None, sentence: str) -> None:
    assert why_waiting(nodes, absent) == sentence


def test_a_limit_on_instances_is_the_reason_where_nodes_could_run_more() -> None:
    assert why_waiting([NodeState("n1")], limit="jill has 2 instances") == "jill has 2 instances"
    assert why_waiting([NodeState("n1", lack=FULL)], limit="jill has 2 instances") != "jill has 2 instances"
    assert limit_reached("jill", 1, 2, 9, 10) is None
    assert limit_reached("jill", 9, None, 9, None) is None
    assert limit_reached("jill", 2, 2, 9, 9) == "jill has 2 instances, of at most 2 at once"
    assert limit_reached("jill", 1, 2, 9, 9) == "all accounts have 9 instances, of at most 9 at once"
