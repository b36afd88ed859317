"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.log import JsonLines
from tests.support.objects import client
from tests.support.service import Service, serving
from tests.support.user import User


@pytest.fixture(autouse=True)
def without_log_handlers() -> Iterator[None]:
    """Removes the log handlers that a test has set up: later tests would find their lines in what they capture."""
    yield
    for handler in [each for each in logging.root.handlers if isinstance(each.formatter, JsonLines)]:
        logging.root.removeHandler(handler)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that the tests of one module share."""
    with serving(tmp_path_factory.mktemp("service") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def user(service: Service) -> Iterator[User]:
    """The service's own account, which stores objects and runs jobs without starting commands."""
    with client(service) as session:
        yield User(session)


@pytest.fixture(scope="session")
def texts() -> list[Path]:
    """Sample texts: those that ship with the command line."""
    return sorted((Path(__file__).parent.parent / "cli" / "samples").glob("*.txt"))
