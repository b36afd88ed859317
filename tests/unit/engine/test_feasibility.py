"""What is too large for every node is told so; what is too large for some waits for another."""

import pytest

from scheduler.engine.feasibility import Tiers, why_infeasible

SMALL = Tiers(4096, 64)
LARGE = Tiers(16384, 8)
NO_MEMORY = "failed to dispatch task: not enough memory available"
NO_DISK = "failed to dispatch task: not enough disk space available"


@pytest.mark.parametrize(
    ("wanted", "offers", "why"),
    [
        (Tiers(4096, 64), [SMALL], None),
        (Tiers(8192, 2), [SMALL], NO_MEMORY),
        (Tiers(8192, 2), [SMALL, LARGE], None),
        (Tiers(128, 128), [SMALL], NO_DISK),
        (Tiers(8192, 64), [SMALL, LARGE], NO_DISK),  # each node lacks one of the two
        (Tiers(8192, 1024), [SMALL], NO_MEMORY),
        (Tiers(8192, 1024), [], None),
    ],
)
def test_a_tier_must_be_within_what_one_node_offers(wanted, offers, why):
    assert why_infeasible(wanted, offers) == why
