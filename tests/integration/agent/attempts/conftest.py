"""A real agent for each kind of isolation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.nodes.agent_rig import ISOLATIONS, Rig, rig


@pytest_asyncio.fixture(params=ISOLATIONS)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running
