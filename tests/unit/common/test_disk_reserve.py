"""How much of a file system must stay free, and what is blamed when it does not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler.agent.pools.caps.disk_pressure import LONGEST, SHORTEST, Load, pause_until_next, to_blame
from scheduler.common.disk_reserve import GIGABYTE, MEGABYTE, Space, reserve, sized
from scheduler.providers.linux.disk_usage import Use

TOTAL = 400 * MEGABYTE


@pytest.mark.parametrize(
    ("total", "kept"),
    [
        (400 * MEGABYTE, 25 * MEGABYTE),
        (4 * GIGABYTE, 64 * MEGABYTE),
        (20 * GIGABYTE, 20 * GIGABYTE // 100),
        (2000 * GIGABYTE, GIGABYTE),
    ],
)
def test_a_reserve_is_one_percent_within_bounds(total: int, kept: int) -> None:
    assert reserve(total) == kept


def test_a_disk_without_inodes_is_short_though_it_has_bytes() -> None:
    assert not Space(TOTAL, TOTAL, 5000, 38400).short
    assert Space(TOTAL, TOTAL, 900, 38400).short
    assert str(Space(TOTAL, TOTAL, 900, 38400)) == "900 of 38400 files are free"
    assert not Space(TOTAL, TOTAL, 0, 0).short  # a file system that does not count them


@pytest.mark.parametrize(
    ("size", "said"), [(1, "1 byte"), (5, "5 bytes"), (2048, "2 KB"), (3 << 20, "3 MB"), (3 << 29, "1.5 GB")]
)
def test_sizes_are_said_with_units(size: int, said: str) -> None:
    assert sized(size) == said


def load(megabytes: float, inodes: int = 1) -> Load:
    return Load(SimpleNamespace(), None, Use(int(megabytes * MEGABYTE), inodes))  # type: ignore[arg-type]


def test_the_instance_with_most_on_the_disk_is_to_blame() -> None:
    small, large = load(1), load(300)
    assert to_blame([small, large], Space(10 * MEGABYTE, TOTAL)) is large


def test_no_instance_is_blamed_for_what_another_program_has_filled() -> None:
    assert to_blame([load(0.1), load(1)], Space(0, TOTAL)) is None
    assert to_blame([], Space(0, TOTAL)) is None


def test_where_files_are_short_the_instance_with_most_files_is_to_blame() -> None:
    large, many = load(200), load(0, 30_000)
    assert to_blame([large, many], Space(TOTAL // 2, TOTAL, 10, 38400)) is many


def test_a_disk_is_looked_at_more_often_the_less_is_left() -> None:
    assert pause_until_next(Space(100 * GIGABYTE, 200 * GIGABYTE)) == LONGEST
    assert pause_until_next(Space(0, TOTAL)) == SHORTEST
    assert SHORTEST < pause_until_next(Space(350 * MEGABYTE, TOTAL)) < LONGEST


def test_objects_leave_a_part_of_the_reserve_for_records() -> None:
    assert Space(25 * MEGABYTE, TOTAL).for_objects == 25 * MEGABYTE - reserve(TOTAL) // 4
    assert Space(1, TOTAL).for_objects == 0


def test_this_package_says_the_same_of_a_real_directory(tmp_path: Path) -> None:
    from scheduler.common.disk_reserve import space_at

    space = space_at(tmp_path)
    assert 0 <= space.free <= space.total
