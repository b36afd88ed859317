"""What does not keep tasks in is said wherever an operator decides something: table, banner, and accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.service.up import announce
from cli.service.user.add import command
from datapath.passing import Holds, Ready
from scheduler.providers.isolation import (
    RULES,
    Hold,
    Isolation,
    gaps,
    of_containers,
    of_processes,
    record,
    recorded,
    sentences,
)
from scheduler.records import accounts
from scheduler.records.database import open_database
from scheduler.service.state import ServiceInfo

ALL = Holds.CALLS | Holds.FILES | Holds.SOCKETS | Holds.SIGNALS
NOTHING = Isolation("process", frozenset())


def processes(ready: Ready, own_users: bool = False, caps: frozenset[Hold] = frozenset()) -> set[Hold]:
    return set(gaps(of_processes(ready, own_users, caps)))


def test_everything_that_may_hold_has_a_sentence_for_when_it_does_not() -> None:
    assert set(RULES) == set(Hold)
    assert len(sentences(NOTHING)) == len(Hold)


def test_a_root_service_lacks_what_processes_cannot_have() -> None:
    caps = frozenset([Hold.OWNERS, Hold.MEMORY, Hold.PROCESSES, Hold.NETWORK])
    assert processes(Ready(True, 1, ALL, ""), own_users=True, caps=caps) == {Hold.DISK}


def test_an_ordinary_users_tasks_are_that_user_to_the_machine() -> None:
    found = processes(Ready(True, 1, ALL, ""))
    assert found == {Hold.USERS, Hold.OWNERS, Hold.MEMORY, Hold.PROCESSES, Hold.DISK, Hold.NETWORK}


def test_without_namespaces_files_are_landlocks_to_keep() -> None:
    old, new = Ready(False, 1, Holds.CALLS, "refused"), Ready(False, 1, ALL, "refused")
    assert Hold.FILES in processes(old)
    assert Hold.FILES not in processes(new)
    assert {Hold.NAMESPACES, Hold.USERS} <= processes(new, own_users=True)


def test_containers_lack_what_the_kernel_is_too_old_for() -> None:
    assert not gaps(of_containers(sockets=True, own_loopback=True))
    assert set(gaps(of_containers(sockets=False, own_loopback=False))) == {Hold.SOCKETS, Hold.NETWORK}


def test_the_facts_are_left_for_commands(tmp_path: Path) -> None:
    assert recorded(tmp_path) is None
    record(NOTHING, tmp_path)
    assert recorded(tmp_path) == NOTHING


def test_the_banner_says_what_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    announce(ServiceInfo("http://127.0.0.1:1", "jill", "", "/nowhere", 1, None, "process", sentences(NOTHING)))
    said = capsys.readouterr().out
    assert all(sentence in said for sentence in sentences(NOTHING))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a service with one account."""
    records = open_database(tmp_path / "remora.db")
    try:
        asyncio.run(records.write(lambda c: accounts.create(c, "jill", 1)))
    finally:
        records.close()
    return tmp_path


def add(state: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["bob", "--state-dir", str(state), *words])


def test_an_account_is_refused_where_its_tasks_are_not_kept_from_others(state: Path) -> None:
    record(NOTHING, state)
    refused = add(state)
    assert refused.exit_code == 1
    said = str(refused.exception) + refused.output
    assert "not kept from each other" in said
    assert "--not-isolated" in said
    assert add(state, "--not-isolated").exit_code == 0


def test_an_account_is_added_where_tasks_are_kept_apart(state: Path) -> None:
    record(Isolation("process", frozenset([Hold.FILES])), state)
    assert add(state).exit_code == 0
