"""Users of instances: no two services of a machine have the same, and none is used again at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.providers import InstanceSpec
from scheduler.providers.instance_ids import FEWEST, Numbers
from scheduler.providers.linux import user_ranges
from scheduler.providers.linux.user_ranges import INSTANCES, USERS, UserRanges, user_of
from scheduler.providers.process import ProcessProvider
from tests.support.nodes.agent_rig import REFUSED

ONE, OTHER = Path("/srv/one"), Path("/srv/other")
needs_root = pytest.mark.skipif(os.geteuid() != 0 or bool(REFUSED), reason="only root has users to give")
SPEC = InstanceSpec(64 << 20, 64 << 20)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "users"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The users that processes of the machine have; none until a test says so."""
    users: set[int] = set()
    monkeypatch.setattr(user_ranges, "users_in_use", lambda: users)
    return users


@pytest.mark.usefixtures("nobody")
def test_two_services_have_no_user_in_common(registry: Path) -> None:
    one, other = UserRanges(ONE, registry), UserRanges(OTHER, registry)
    ours = {one.first_user(number) for number in (0, 1, INSTANCES)}
    theirs = {other.first_user(number) for number in (0, 1, INSTANCES)}
    assert len(ours | theirs) == 6
    assert min(abs(a - b) for a in ours for b in theirs) >= USERS


@pytest.mark.usefixtures("nobody")
def test_a_service_that_ended_in_order_leaves_its_users_to_others(registry: Path) -> None:
    one, other = UserRanges(ONE, registry), UserRanges(OTHER, registry)
    first = one.first_user(0)
    one.close()
    assert other.first_user(0) == first


def test_one_that_was_killed_keeps_them_while_its_instances_live(registry: Path, nobody: set[int]) -> None:
    killed = UserRanges(ONE, registry)
    first, second = killed.first_user(0), killed.first_user(INSTANCES)
    for _, lock in killed._claims:
        os.close(lock)  # as the kernel does
    nobody.add(first + 5)
    assert UserRanges(OTHER, registry).first_user(0) not in (first, second)
    again = UserRanges(ONE, registry)
    assert (again.first_user(0), again.first_user(INSTANCES)) == (first, second)


def test_a_range_whose_users_have_processes_is_left_alone_though_nobody_claimed_it(
    registry: Path, nobody: set[int]
) -> None:
    nobody.add(user_of(0, 3))  # an earlier release's
    assert UserRanges(ONE, registry).first_user(0) == user_of(1, 0)


def test_when_all_are_claimed_that_is_said(registry: Path, monkeypatch: pytest.MonkeyPatch, nobody: set[int]) -> None:
    monkeypatch.setattr(user_ranges, "RANGES", 1)
    one = UserRanges(ONE, registry)
    one.first_user(0)
    with pytest.raises(OSError, match="other services have all users for instances"):
        UserRanges(OTHER, registry).first_user(0)
    one.close()


def test_a_link_in_the_registry_is_not_followed(registry: Path, tmp_path: Path, nobody: set[int]) -> None:
    registry.mkdir()
    (registry / "0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        UserRanges(ONE, registry).first_user(0)
    assert not (tmp_path / "elsewhere").exists()


def test_a_number_rests_before_it_is_used_again() -> None:
    numbers = Numbers([1])
    assert [numbers.take(), numbers.take()] == [0, 2]
    numbers.give_back(0)
    assert 0 not in [numbers.take() for _ in range(FEWEST // 2 - 3)]


def test_numbers_grow_with_what_is_in_use() -> None:
    numbers = Numbers()
    taken = [numbers.take() for _ in range(1000)]
    assert taken == list(range(1000))


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process of another user, who has no name here."""
    user = user_of(user_ranges.RANGES - 1, 7)
    script = (
        f"import os, time; os.setgroups([]); os.setresuid({user}, {user}, {user}); print(1, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield user
        process.kill()


@needs_root
def test_users_in_use_are_found(sleeper: int) -> None:
    assert sleeper in user_ranges.users_in_use()


@needs_root
async def test_instances_of_two_services_on_a_machine_own_no_user_together(tmp_path: Path) -> None:
    providers = [ProcessProvider(tmp_path / name, "namespaces") for name in ("one", "other")]
    for provider in providers:
        await provider.prepare()
    instances = [await provider.create(SPEC) for provider in providers]
    owners = [(instance.work / "root").stat().st_uid for instance in instances]
    assert instances[0].has_user(owners[0])
    assert not instances[0].has_user(owners[1])
    assert not instances[1].has_user(owners[0])
    for instance in instances:
        await instance.destroy()
    for provider in providers:
        await provider.close()
