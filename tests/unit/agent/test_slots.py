"""Slots: a full node tells its supervisors when instances are gone, which nothing else would make them ask."""

from __future__ import annotations

import pytest

from scheduler.agent.slots.slots import Slots, Use


@pytest.mark.parametrize(
    ("used", "unborn", "told"),
    [(2, 2, 1), (0, 4, 1), (1, 2, 0), (4, 0, 0)],
    ids=["full with both", "full with those that were being made", "not full", "none is gone"],
)
def test_a_full_node_tells_that_instances_which_were_never_made_are_gone(used: int, unborn: int, told: int):
    slots, calls = Slots(), []
    link = object()
    slots.join(link, lambda: calls.append(1))
    slots.use(link, Use(used, 128 * used))
    slots.away(link, 4, 4096)
    slots.expect(unborn, 128)
    slots.forget(unborn, 128)
    assert (len(calls), slots.ending) == (told, Use())
