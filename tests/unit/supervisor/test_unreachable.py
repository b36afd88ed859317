"""Which instances are of no use, though Nomad takes them for running."""

from __future__ import annotations

from scheduler.model.wire import LEASE_SECONDS
from scheduler.nomad.job_documents import Booking
from scheduler.nomad.reconcile import Known
from scheduler.supervisor.instances.unreachable import BETWEEN_SECONDS, UnreachableInstances

BOOKING = Booking(7, "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10", 0, 1024, 8)
KNOWN = {BOOKING.id: Known(BOOKING, 5, 3, live=3, at={"n1": 1, "n2": 2})}
BOTH = {"n1", "n2"}


def live(stranded: UnreachableInstances, present: set[str], now: float) -> int:
    return stranded.standing(KNOWN, present, now)[BOOKING.id].live


def test_a_node_whose_agent_is_gone_is_given_up_after_a_moment():
    stranded = UnreachableInstances()
    assert live(stranded, BOTH, 0) == 3
    assert live(stranded, {"n1"}, 1) == 3
    assert live(stranded, {"n1"}, 1 + BETWEEN_SECONDS) == 1
    assert live(stranded, BOTH, 9) == 3


def test_an_agent_that_registers_anew_is_not_given_up():
    stranded = UnreachableInstances()
    assert live(stranded, BOTH, 0) == 3
    assert live(stranded, {"n1"}, 1) == 3
    assert live(stranded, BOTH, 1.1) == 3
    assert live(stranded, {"n1"}, 2) == 3


def test_whoever_has_just_begun_waits_for_agents_as_long_as_a_lease():
    stranded = UnreachableInstances()
    assert live(stranded, set(), 0) == 3
    assert live(stranded, {"n1"}, LEASE_SECONDS - 0.1) == 3
    assert live(stranded, {"n1"}, LEASE_SECONDS) == 1
