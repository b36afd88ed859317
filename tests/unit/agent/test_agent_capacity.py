"""Which tiers a node says that it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scheduler.agent.slots import capacity
from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB

PAGES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def test_memory_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "own_limit", lambda: None)
    assert capacity.memory_mb() == max(PAGES, DEFAULT_MEMORY_MB)


@pytest.mark.parametrize(("limit_mb", "expected"), [(1500, 1500), (1 << 40, PAGES), (100, DEFAULT_MEMORY_MB)])
def test_memory_is_no_more_than_our_own_group_may_use_and_the_default_at_least(
    monkeypatch: pytest.MonkeyPatch, limit_mb: int, expected: int
) -> None:
    monkeypatch.setattr(capacity, "own_limit", lambda: limit_mb << 20)
    assert capacity.memory_mb() == expected


@pytest.mark.parametrize(("total_gb", "expected"), [(252, 252), (5, DEFAULT_DISK_GB), (4000, 4000)])
def test_disk_is_the_whole_file_system_whatever_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total_gb: int, expected: int
) -> None:
    status = os.statvfs(tmp_path)
    fields = [4096, 4096, total_gb << 18, 1 << 18, 1 << 18, *status[5:]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    assert capacity.disk_gb(tmp_path) == expected


GIB = 1 << 18  # in blocks


@pytest.mark.parametrize(
    ("total", "free", "most", "used", "short"),
    [
        (252 * GIB, 3 * GIB, 32768, 400, None),
        (252 * GIB, GIB, 32768, 400, "1.0 GB of 252.0 GB of its disk are free, which is less than 2.0 GB"),
        (5 * GIB, GIB, 32768, 400, None),
        (5 * GIB, GIB // 4, 32768, 400, "256 MB of 5.0 GB of its disk are free, which is less than 512 MB"),
        (252 * GIB, 99 * GIB, 32768, 32000, "768 of its 32768 processes are free"),
        (252 * GIB, 99 * GIB, 4096, 3500, None),
    ],
)
def test_an_instance_waits_where_disk_or_processes_are_scarce(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total: int, free: int, most: int, used: int, short: str | None
) -> None:
    status = os.statvfs_result([4096, 4096, total, free, free, *os.statvfs(tmp_path)[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    monkeypatch.setattr(capacity, "process_limit", lambda: most)
    monkeypatch.setattr(capacity, "processes", lambda: used)
    monkeypatch.setattr(capacity, "own_processes", lambda: iter(()))
    assert capacity.shortage(tmp_path) == short


@pytest.mark.parametrize(
    ("present", "most", "short"),
    [(100, 4096, None), (3900, 4096, "196 of its 4096 processes are free"), (60, 64, "4 of its 64 processes are free")],
)
def test_our_own_control_group_may_have_room_for_fewer_processes_than_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, present: int, most: int, short: str | None
) -> None:
    monkeypatch.setattr(capacity, "own_processes", lambda: iter([(present, most), (present, 1 << 20)]))
    monkeypatch.setattr(capacity, "SPARE_DISK", 0)
    assert capacity.shortage(tmp_path) == short


def test_the_machine_says_how_many_processes_it_has_and_may_have() -> None:
    assert 1 < capacity.processes() < capacity.process_limit()
