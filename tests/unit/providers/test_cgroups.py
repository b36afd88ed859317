"""Control groups of version 2, on a directory tree that behaves as the kernel's does.

Which version a machine has is its own; the integration tests meet that one only.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from scheduler.providers.linux import cgroups

FILES = {
    "memory": {
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n",
    },
    "cpu": {"cpu.weight": "100"},
    "io": {"io.weight": "default 100"},
    "pids": {"pids.max": "max", "pids.current": "12"},
}
ALWAYS = {"cgroup.procs": "", "cgroup.subtree_control": ""}
OWN = "/system.slice/remora.service"


def procs(path: Path) -> str:
    file = path / "cgroup.procs"
    return file.read_text() if file.exists() else ""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a hierarchy in which we are in the group OWN: a group has the files of what is handed down to it."""
    root, mkdir, rmdir = tmp_path / "cgroup", Path.mkdir, Path.rmdir

    def make(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if not path.is_relative_to(root) or path.exists():
            return mkdir(path, mode, parents, exist_ok)
        if parents and not path.parent.exists():
            make(path.parent, parents=True)
        mkdir(path)
        handed = " ".join(FILES) if path == root else (path.parent / "cgroup.subtree_control").read_text()
        for controller, files in FILES.items():
            if controller in handed:
                for name, text in files.items():
                    (path / name).write_text(text)
        for name, text in ALWAYS.items():
            (path / name).write_text(text)
        return None

    def remove(path: Path) -> None:
        """As the kernel does: a group without children goes, files and all, if no process is in it."""
        if path.is_relative_to(root) and not list(path.glob("*/")) and not procs(path):
            for file in path.glob("*"):
                file.unlink()
        rmdir(path)

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(Path, "rmdir", remove)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: iter([(str(root), 2, ["rw", "nsdelegate"])]))
    monkeypatch.setattr(cgroups, "groups_of", lambda _: {"": OWN})
    make(root)
    for group in (root, (root / OWN[1:]).parent):
        make(group, exist_ok=True)
        (group / "cgroup.subtree_control").write_text("+memory +cpu +io +pids")
    make(root / OWN[1:])
    return root


def test_the_subtree_is_beside_our_own_group_and_memory_is_handed_down_to_it(tree: Path) -> None:
    groups = cgroups.open_groups("me")
    assert groups is not None
    assert (groups.root, groups.version) == (tree / "system.slice/remora/me", 2)
    assert not (groups.root / "probe").exists()


def test_a_group_caps_memory_without_swap_and_counts_kills(tree: Path) -> None:
    groups = cgroups.open_groups("me")
    assert groups is not None
    group = groups.create(3, 128 << 20)
    assert (group.path / "memory.max").read_text() == str(128 << 20)
    assert (group.path / "memory.swap.max").read_text() == "0"
    assert group.kills() == 2
    group.add(os.getpid())
    assert (group.path / "cgroup.procs").read_text() == str(os.getpid())
    group.close()


def test_where_the_kernel_tells_no_peak_the_least_that_is_known_is_told(tree: Path) -> None:
    groups = cgroups.open_groups("me")
    assert groups is not None
    group = groups.create(3, 128 << 20)
    assert group.peak_kb(77) == 77
    group.close()


def test_where_memory_cannot_be_handed_down_there_are_no_groups(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FILES, "memory")
    assert cgroups.open_groups("me") is None
    assert not list(tree.glob("**/remora"))


async def test_what_a_killed_agent_left_goes_and_what_lives_stays(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "REMOVE_TRIES", 2)
    groups = cgroups.open_groups("me")
    assert groups is not None
    for number in range(3):
        groups.create(number, 128 << 20).close()
    (groups.root / "1" / "cgroup.procs").write_text("1")
    await cgroups.sweep_groups(groups.root, keep_root=False)
    assert [path.name for path in groups.root.glob("*/")] == ["1"]
    (groups.root / "1" / "cgroup.procs").write_text("")
    await cgroups.sweep_groups(groups.root, keep_root=False)
    assert not groups.root.parent.exists()


async def test_the_group_of_a_container_goes_wherever_its_runtime_forgot_it(tree: Path) -> None:
    (tree / "remora/me/3").mkdir(parents=True)
    await cgroups.remove_everywhere("/remora/me/3")
    assert not (tree / "remora/me/3").exists()
    await cgroups.remove_everywhere("/remora/me/3")


def test_the_group_of_a_container_is_found_by_its_process(tree: Path) -> None:
    group = cgroups.memory_group_of(os.getpid())
    assert (group.path, group.kills()) == (tree / OWN[1:], 2)
    group.close()


def test_the_smallest_limit_above_us_is_ours(tree: Path) -> None:
    assert cgroups.own_limit() is None
    (tree / "system.slice/memory.max").write_text(str(3 << 30))
    (tree / OWN[1:]).joinpath("memory.max").write_text(str(4 << 30))
    assert cgroups.own_limit() == 3 << 30


def test_processes_are_counted_where_a_group_above_us_limits_them(tree: Path) -> None:
    assert list(cgroups.own_processes()) == []
    (tree / "system.slice/pids.max").write_text("500")
    assert list(cgroups.own_processes()) == [(12, 500)]


@pytest.mark.parametrize(("processes", "weight"), [(16, "1600"), (1000, "10000")])
def test_all_instances_together_weigh_as_so_many_processes(tree: Path, processes: int, weight: str) -> None:
    (tree / "remora/me").mkdir(parents=True)
    (tree / "remora/cgroup.subtree_control").write_text("+cpu +io")
    cgroups.weigh("/remora/me", processes)
    assert [(tree / "remora/me" / name).read_text() for name in ("cpu.weight", "io.weight")] == [weight, weight]


def test_version_1_has_other_files_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {name: tmp_path / name for name in ("cpu", "blkio")}
    for point in points.values():
        (point / "remora/me").mkdir(parents=True)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: iter((str(path), 1, [name]) for name, path in points.items()))
    cgroups.weigh("/remora/me", 16)
    assert (points["cpu"] / "remora/me/cpu.shares").read_text() == str(16 * 1024)
    assert (points["blkio"] / "remora/me/blkio.bfq.weight").read_text() == "1000"


async def test_groups_that_stay_are_waited_for_together_in_all_hierarchies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that is told to end has twenty seconds; version 1 has a dozen hierarchies."""
    points = [tmp_path / f"h{number}" for number in range(4)]
    for point in points:
        for group in ("1", "2", "3"):
            (point / "owner" / group / "busy").mkdir(parents=True)
    waiting = asyncio.Barrier(12)  # all begin to wait before one goes on
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [(str(point), 1, []) for point in points])
    monkeypatch.setattr(cgroups.asyncio, "sleep", lambda seconds: waiting.wait())
    async with asyncio.timeout(10):
        await cgroups.sweep_everywhere("/owner")


def test_a_group_is_made_although_another_agent_removes_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents that end at that moment find the parent empty: as soon as it is made, before our group is in it."""
    parent, ends, mkdir = tmp_path / "remora", iter(range(5)), os.mkdir

    def make(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if path == parent and next(ends, None) is not None:
            parent.rmdir()

    monkeypatch.setattr(os, "mkdir", make)
    cgroups.make_group(parent / "ours")
    assert (parent / "ours").is_dir() and next(ends, None) is None
    cgroups.remove_empty(parent / "another")
    assert (parent / "ours").is_dir()
