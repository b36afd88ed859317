"""Slots: the supervisors are told when instances are gone, since only they know what waits for these."""

from __future__ import annotations

import pytest

from scheduler.agent.slots.slots import Slots, Use


@pytest.mark.parametrize(("used", "unborn", "told"), [(2, 2, 1), (0, 4, 1), (0, 1, 1), (4, 0, 0)])
def test_supervisors_are_told_that_instances_which_were_never_made_are_gone(used: int, unborn: int, told: int):
    slots, calls = Slots(), []
    link = object()
    slots.join(link, lambda: calls.append(1))
    slots.use(link, Use(used, 128 * used))
    slots.expect(unborn, 128)
    slots.forget(unborn, 128)
    assert (len(calls), slots.ending) == (told, Use())
