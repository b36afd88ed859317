"""Fixtures of the tests of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.services.gateway import Gateway, running


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway for one test, with jill and bob; it has no jobs."""
    async with running(tmp_path) as started:
        yield started
