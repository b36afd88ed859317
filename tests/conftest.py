"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import logging
import marshal
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from scheduler.common.process import collect_seldom
from scheduler.log import JsonLines
from tests.support.services.objects import client
from tests.support.services.service import Service, serving
from tests.support.services.user import User

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling


# httpcore asks for this module, which is not installed, some ten times a request, and Python looks in every directory.
sys.modules.setdefault("sniffio", None)

# An example that is slow is none that fails: other tests run at the same time. Only nights look at others than before.
settings.register_profile("brief", deadline=None, print_blob=True, derandomize=True, max_examples=30)
settings.register_profile("thorough", settings.get_profile("brief"), max_examples=150)
settings.register_profile("night", settings.get_profile("brief"), derandomize=False, max_examples=3000)
settings.load_profile("brief")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Workers of `-n auto`: two more than processors, since tests of processes mostly wait for them."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Tests of one file stay on one worker, since they share a service. Files begin in order: units come last."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spares Python's collector the thousands of tests and modules that stay, among which it looked for garbage."""
    collect_seldom()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, object], dict[str, object]]:
    """A report of a worker as one value, where execnet would take it apart and send its hundred words one by one."""
    return {"$marshalled": marshal.dumps((yield))}


@pytest.hookimpl(wrapper=True)
def pytest_report_from_serializable(data: dict[str, object]) -> Generator[None, object, object]:
    """The report of `pytest_report_to_serializable`."""
    data.update(marshal.loads(data.pop("$marshalled")))
    return (yield)


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
