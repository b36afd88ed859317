"""What a supervisor takes from the states that an agent sends."""

from __future__ import annotations

from scheduler.engine.feasibility import Tiers
from scheduler.model.wire import AgentState, FeedState
from scheduler.supervisor.agents.session import AgentSession, Reducer

FEED = FeedState(task=1, attempt=1, after=0, room=8)


def test_a_state_that_a_later_one_has_overtaken_says_nothing() -> None:
    session = AgentSession(1, "n", 4, Tiers(1024, 8), heard=0.0)
    session.reducers[1] = Reducer(pool=1, attempt=1)
    session.hear(AgentState(seen=0, serial=2, feeds=[FEED]), 1.0)
    session.hear(AgentState(seen=0, serial=1, disabled=3), 2.0)
    assert (session.feeds(), session.disabled, session.heard) == ([FEED], 0, 2.0)
    session.hear(AgentState(seen=0, serial=3), 3.0)
    assert session.feeds() == []


def test_states_without_numbers_count_in_the_order_in_which_they_come() -> None:
    session = AgentSession(1, "n", 4, Tiers(1024, 8), heard=0.0)
    session.reducers[1] = Reducer(pool=1, attempt=1)
    session.hear(AgentState(seen=0, feeds=[FEED]), 1.0)
    session.hear(AgentState(seen=0), 2.0)
    assert session.feeds() == []


def test_a_node_that_is_drained_has_no_slots_and_the_reason_for_that_unless_nomad_drains_it() -> None:
    session = AgentSession(1, "n", 4, Tiers(1024, 8), heard=0.0)
    session.hear(AgentState(seen=0, serial=1, draining=True), 1.0)
    assert (session.draining, session.usable_slots(4), session.lack) == (True, 0, "it is being drained")
    session.hear(AgentState(seen=0, serial=2), 2.0)
    assert (session.draining, session.usable_slots(4), session.lack) == (False, 4, None)
    session.booked = session.draining = True
    session.hear(AgentState(seen=0, serial=3), 3.0)
    assert session.draining
