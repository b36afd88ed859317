"""Fixtures of the integration tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scheduler.records import accounts
from tests.support.invariants import check
from tests.support.services import records
from tests.support.services.house import House

# In memory where that can be: a house is hundreds of directories, and every step of a job a sync.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module", autouse=True)
def records_of_this_module() -> None:
    """Forgets which records earlier modules kept."""
    records.in_use.clear()


@pytest.fixture(autouse=True)
def invariants_hold() -> Iterator[None]:
    """Checks, after each test, the records that it has kept and those that its module shares."""
    shared = set(records.in_use)
    yield
    for where in list(records.in_use):
        if records.is_there(where):
            records.look(where, check)
        if where not in shared:
            del records.in_use[where]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A supervisor of its own, with the accounts jill and jack, and no agent yet."""
    with TemporaryDirectory(dir=MEMORY) as directory:
        house = House(Path(directory))
        await house.db.write(lambda c: accounts.create(c, "jill", 1))
        await house.db.write(lambda c: accounts.create(c, "jack", 1))
        await house.supervisor.start()
        yield house
        await house.close()
