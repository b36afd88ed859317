"""The agent of a forked service is the service's own child, and a fork as long as there is a spare to fork it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually_here
from tests.support.services.service import Service, agents_below, command_line, descendants, parent_of, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "state") as running:
        yield running


@pytest.fixture
def pid(service: Service) -> int:
    assert service.process is not None
    return service.process.pid


def spares(pid: int) -> list[int]:
    return [each for each in descendants(pid) if "spare" in command_line(each)]


def open_files(pid: int) -> set[str]:
    """What the descriptors of a process name, but those that it closes meanwhile."""
    names = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return names


def is_fork(pid: int) -> bool:
    """The kernel knows the environment that a program started with: of a fork that is the fork server's."""
    return b"REMORA_STATE_DIR" not in Path(f"/proc/{pid}/environ").read_bytes()


def killed(pid: int, agent: int) -> int:
    """Kill the agent; the next one."""
    os.kill(agent, signal.SIGKILL)
    (other,) = eventually_here(lambda: [each for each in agents_below(pid) if each != agent], "there is another agent")
    return other


def test_a_forked_agent_is_the_child_of_its_service_and_has_its_own_command_line(service: Service, pid: int) -> None:
    (agent,) = agents_below(pid)
    assert parent_of(agent) == pid
    assert f"-m scheduler.agent --url {service.url}" in command_line(agent)
    assert str(service.state_dir) in command_line(pid)
    assert os.getsid(agent) == agent


def test_a_forked_agent_has_no_descriptor_of_the_server_or_the_spare(pid: int) -> None:
    (agent,) = agents_below(pid)
    (spare,) = spares(pid)
    sockets, kept = open_files(spare), open_files(agent)
    assert not {each for each in sockets & kept if each.startswith("socket:")}
    assert not [each for each in kept if "memfd" in each]


def test_an_agent_is_forked_again_and_started_as_ever_when_the_spare_is_gone(pid: int) -> None:
    agent = killed(pid, agents_below(pid)[0])
    assert is_fork(agent)
    for each in spares(pid):
        os.kill(each, signal.SIGKILL)
    agent = killed(pid, agent)
    assert parent_of(agent) == pid
    assert not is_fork(agent)
