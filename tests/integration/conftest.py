"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.records import accounts
from tests.support.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A supervisor of its own, with the accounts jill and jack, and no agent yet."""
    house = House(tmp_path)
    await house.db.write(lambda c: accounts.create(c, "jill", 1))
    await house.db.write(lambda c: accounts.create(c, "jack", 1))
    await house.supervisor.start()
    yield house
    await house.close()
