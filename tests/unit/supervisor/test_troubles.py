"""Troubles of the instance loop: who reads what, and when Nomad is asked again."""

from __future__ import annotations

import pytest

from scheduler.nomad.api import ConflictError, NomadError
from scheduler.supervisor.instances import troubles
from scheduler.supervisor.instances.troubles import LOOKING, Troubles

JOB = "remora.5f0c91aa.0.any.m1024d8"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nomad_counts_as_silent_until_it_has_answered(clock: Clock) -> None:
    found = Troubles(clock)
    assert found.for_operators == "Nomad has not answered since this supervisor started"
    assert found.for_owners([LOOKING]) == troubles.SILENT
    found.well(LOOKING)
    assert (found.for_operators, found.for_owners([LOOKING, JOB])) == (None, None)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NomadError("Nomad did not list jobs: 403", 403), troubles.REFUSED),
        (NomadError("Nomad did not list jobs: Connection refused", passing=True), troubles.SILENT),
        (ConflictError("Nomad did not register job x"), troubles.TAKEN),
    ],
)
def test_owners_read_what_it_means_and_operators_what_it_is(clock: Clock, error: NomadError, sentence: str) -> None:
    found = Troubles(clock)
    found.well(LOOKING)
    for _ in range(2):
        found.failed(JOB, error)
    assert (found.for_owners([LOOKING, JOB]), found.for_operators) == (sentence, str(error))


def test_each_further_failure_makes_the_pause_longer_up_to_a_minute(clock: Clock) -> None:
    found = Troubles(clock)
    waited = []
    for _ in range(8):
        waited.append(found.failed(JOB, ConflictError("taken")))
        assert not found.may(JOB)
        clock.now += waited[-1]
        assert found.may(JOB)
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    clock.now += 61
    assert found.failed(JOB, ConflictError("taken")) == 1


def test_a_name_that_was_taken_by_one_of_us_is_no_trouble_any_more(clock: Clock) -> None:
    found = Troubles(clock)
    found.well(LOOKING)
    found.failed(JOB, ConflictError("Enforcing job modify index 0: job already exists"))
    assert found.for_operators is None  # a look will tell
    found.ours(JOB)
    assert found.may(JOB)
    found.failed(JOB, NomadError("refused", 403))
    found.ours(JOB)
    assert not found.may(JOB)
