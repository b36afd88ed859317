"""Ways to have more disk than one's tier: each ends the task, and the next one finds an instance that is empty."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio

from scheduler.agent.pools import instance_factory
from scheduler.agent.pools.caps import disk_count
from scheduler.agent.pools.caps.disk_count import DiskCount
from scheduler.providers.linux import disk_usage
from scheduler.providers.linux.disk_usage import EVERYTHING, Use
from tests.support.nodes.agent_rig import ISOLATIONS, Rig, rig
from tests.support.nodes.caps import out_of_disk
from tests.support.nodes.containers import CONTAINERD, PROVIDER

MEGABYTE = 1 << 20
CAP = 2  # megabytes
FULL = ("UserTaskError", out_of_disk(2, 4))
SOME = "x" * 200  # a name; a path of 30 of them is longer than the kernel takes
FALLOCATE, KEEP_SIZE = 285, 1  # x86-64
DEEP = "a tree deeper than is looked at"
# What ends at once, and is counted at its end.
QUICK = {
    "files": "head -c 1500000 /dev/zero > a; head -c 1500000 /dev/zero > b",
    "a tree deeper than a path": f"for i in $(seq 40); do mkdir {SOME}; cd {SOME}; head -c 100000 /dev/zero > f; done",
    DEEP: "for i in $(seq 140); do mkdir d; cd d; done",
    "empty files": "for i in $(seq 300); do : > $i; done",
    "a closed directory": "mkdir d; head -c 1500000 /dev/zero > d/a; head -c 1500000 /dev/zero > d/b; chmod 0 d",
    "stdout": "head -c 1500000 /dev/zero; head -c 1500000 /dev/zero >&2",
}
# What is only there while the task runs.
SLOW = {
    "files without a name": (
        'for i in 5 6 7; do eval "exec $i> f"; rm f; head -c 900000 /dev/zero >&$i; done; sleep 1000'
    ),
    "files": "for i in 1 2 3; do head -c 900000 /dev/zero > $i; done; sleep 1000",
}
RESERVE = f"perl -e 'exit(syscall({FALLOCATE}, 1, {KEEP_SIZE}, 0, 8 << 20) == 0 ? 0 : 7)'"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", MEGABYTE)
    monkeypatch.setattr(disk_usage, "INODES_PER_GIB", 250)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count at every end, and not only when it is time or the file system has lost too much."""
    monkeypatch.setattr(disk_count, "COUNT_EVERY", 0.0)
    monkeypatch.setattr(disk_count, "COUNT_SHARE", 0.0)


@pytest_asyncio.fixture(params=ISOLATIONS)
async def agent(tmp_path: Path, small: None, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", QUICK)
async def test_what_a_short_task_leaves_is_counted_and_is_gone_for_the_next_one(agent: Rig, kind: str) -> None:
    if kind == DEEP and PROVIDER == CONTAINERD:
        pytest.skip("a file system of its own is not walked")
    first, second = agent.map_task(b"fill"), agent.map_task(b"look")
    fill = f"mkdir $HOME/mine; cd $HOME/mine; {QUICK[kind]}; exit 0"
    script = f'read what; [ "$what" = look ] || {{ {fill}; }}; ls -A $HOME/mine; true'
    spec = agent.spec(script, disk_gb=CAP)
    agent.grant(spec, first)
    report = await agent.report_of(first)
    assert (report.code, report.message) == FULL
    agent.grant(spec, second)
    report = await agent.report_of(second)
    assert agent.output(report) == b""


def test_it_is_counted_early_if_the_file_system_has_lost_more_than_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(f_frsize=4096, f_bfree=1000, f_ffree=1000)
    monkeypatch.setattr(disk_count.os, "statvfs", lambda _: free)
    count, most = DiskCount.begin(tmp_path, 0.0), Use(100 * 4096, 50)
    assert not count.may_exceed(most, 0.5)
    free.f_bfree -= 100
    assert not count.may_exceed(most, 0.5)
    free.f_bfree -= 1
    assert count.may_exceed(most, 0.5)
    free.f_bfree, free.f_ffree = 1000, 949
    assert count.may_exceed(most, 0.5)
    free.f_ffree = 1000
    assert count.may_exceed(most, disk_count.COUNT_EVERY)  # whoever else gave back as much


@pytest.mark.parametrize("kind", SLOW)
async def test_a_task_that_runs_on_is_ended(agent: Rig, kind: str) -> None:
    report = await agent.run(SLOW[kind], disk_gb=CAP)
    assert (report.code, report.message) == FULL


async def test_blocks_beyond_the_end_of_stdout_are_refused_or_counted(agent: Rig) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of system calls are others here")
    report = await agent.run(RESERVE, disk_gb=CAP)
    assert (report.code, report.message) in (FULL, ("UserTaskError", "user command exited with code 7"))


@pytest.mark.usefixtures("always")
async def test_what_tasks_have_left_together_is_too_much_for_the_one_that_fills_it_up(agent: Rig) -> None:
    tasks = [agent.map_task(b"") for _ in range(4)]
    agent.grant(agent.spec("head -c 900000 /dev/zero > $RANDOM$RANDOM", disk_gb=CAP), *tasks)
    reports = await agent.reports_of(*tasks)
    assert [report.message for report in reports].count(FULL[1]) == 1


@pytest.mark.usefixtures("always")
async def test_a_large_input_counts_for_nothing(agent: Rig) -> None:
    report = await agent.run("wc -c", b"x" * (CAP + 2) * MEGABYTE, disk_gb=CAP)
    assert agent.output(report).split() == [b"4194304"]


def test_no_more_is_counted_than_is_too_much(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert disk_usage.below(tmp_path, EVERYTHING).inodes == 100
    assert disk_usage.below(tmp_path, Use(1 << 40, 10)).inodes == 11


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_an_ordinary_user_counts_what_is_closed_to_its_owner_and_leaves_it_closed(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from scheduler.providers.linux.disk_usage import EVERYTHING, below
root = Path(sys.argv[1]); os.chown(root, 65534, 65534); os.setresuid(65534, 65534, 65534)
(root / "d").mkdir(); (root / "d" / "f").write_bytes(bytes(100000)); (root / "d").chmod(0)
print(below(root, EVERYTHING).bytes >= 100000, oct((root / "d").stat().st_mode & 0o777))
"""
    home = tmp_path / "home"
    home.mkdir()
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-P", "-c", script, str(home)], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "0o0"], done.stderr
