"""Fixtures: a lackey in each way in which it can be isolated as a process. A folder's conftest imports both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.nodes.lackey_instance import MODES, Instance, Mode, skip_if_refused


@pytest.fixture(params=MODES, ids=str)
def mode(request: pytest.FixtureRequest) -> Mode:
    """How the lackey is isolated."""
    chosen: Mode = request.param
    skip_if_refused(chosen)
    return chosen


@pytest.fixture
def instance(mode: Mode) -> Iterator[Instance]:
    """A lackey that runs until the test has ended."""
    running = Instance(mode)
    yield running
    running.close()
