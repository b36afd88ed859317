"""Fixtures of the integration tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scheduler.records import accounts
from tests.support.house import House

# In memory where that can be: a house is hundreds of directories, and every step of a job a sync.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


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
