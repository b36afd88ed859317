"""Which provider an agent gets, and what it is told if it cannot have the one it wants."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from scheduler.providers import InstanceError, choice
from scheduler.providers.choice import ProviderOptions, open_provider
from scheduler.providers.containerd import machine
from tests.support.nodes.containers import needs_containers

WHY = "containers need a better machine"


@pytest.fixture
def no_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "why_no_containers", lambda own_daemon: WHY)


@pytest.mark.usefixtures("no_containers")
async def test_auto_is_processes_where_there_are_no_containers_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "remora.agent"):
        provider = await open_provider(tmp_path, ProviderOptions("auto"))
    await provider.close()
    assert provider.name == "process"
    assert WHY in [getattr(record, "why", None) for record in caplog.records]


@pytest.mark.usefixtures("no_containers")
async def test_containers_that_cannot_be_had_are_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=WHY):
        await open_provider(tmp_path, ProviderOptions("containerd"))


@needs_containers
async def test_auto_is_containers_where_there_are_some(tmp_path: Path) -> None:
    provider = await open_provider(tmp_path, ProviderOptions("auto"))
    await provider.close()
    assert provider.name == "containerd"


@needs_containers
async def test_a_containerd_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.providers.containerd.client.PROBE_SECONDS", 0.2)
    with pytest.raises(InstanceError, match=r"no containerd answers at /nowhere/containerd\.sock"):
        await open_provider(tmp_path, ProviderOptions("containerd", address="/nowhere/containerd.sock"))


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine.child, "find", lambda program: None if program == "runc" else program)
    assert machine.why_no_containers() == (
        "containers need programs that are not installed: try `apt-get install runc`"
    )


def test_without_root_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    assert machine.why_no_containers() == "containers need root (run as root, or use --provider process)"
