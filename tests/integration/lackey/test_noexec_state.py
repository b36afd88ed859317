"""A state directory on a file system that runs no programs: tasks have their tools all the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.providers import tools_place
from tests.support.nodes.agent_rig import ISOLATIONS, rig
from tests.support.nodes.containers import CONTAINERD, PROVIDER


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("NO NOEXEC IS TRIED: only root can mount")
    place = tmp_path / "mount"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g,noexec", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(PROVIDER == CONTAINERD, reason="for processes")
@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_tasks_run_their_tools_and_nothing_stays_elsewhere(noexec: Path, isolation: str) -> None:
    state = noexec / "state"
    state.mkdir(mode=0o700)
    elsewhere = tools_place.tools_place(state)
    assert not elsewhere.is_relative_to(noexec)
    async with rig(state, isolation) as agent:
        report = await agent.run("cat | mpipe; mls --help > /dev/null", b"text\n")
        assert (report.code, agent.output(report)) == (None, b"text\n")
    assert not elsewhere.parent.exists()


def test_in_an_ordinary_place_they_lie_in_the_state_directory(tmp_path: Path) -> None:
    assert tools_place.tools_place(tmp_path) == tmp_path / "tools"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory without programs, and one other place."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setattr(tools_place, "ELSEWHERE", (str(place),))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tools_place, "runs_programs", lambda directory: directory == place)
    return place


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    own = tools_place.tools_place(tmp_path).parent
    assert own.parent == elsewhere
    own.chmod(0o777)
    with pytest.raises(PermissionError, match="is not ours alone: remove it"):
        tools_place.tools_place(tmp_path)


def test_a_link_in_its_place_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    own = tools_place.tools_place(tmp_path).parent
    own.rmdir()
    own.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="is not ours alone"):
        tools_place.tools_place(tmp_path)


def test_where_no_place_runs_programs_they_stay_in_the_state_directory(tmp_path: Path, elsewhere: Path) -> None:
    elsewhere.rmdir()
    assert tools_place.tools_place(tmp_path) == tmp_path / "tools"
