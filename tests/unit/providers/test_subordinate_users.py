"""Which subordinate ids a user has, and what is said where there are none."""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path

import pytest

from scheduler.providers.linux import subordinate_users
from scheduler.providers.linux.subordinate_users import OTHERS, NoSubordinateUsersError, blocks, first_of, write_map

NAME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    return tmp_path / "subuid"


def test_a_block_is_given_by_name_or_by_number(ids: Path) -> None:
    ids.write_text(f"{NAME}:100000:65536\nother:200000:65536\n{os.geteuid()}:300000:65536\n")
    assert list(blocks(ids, os.geteuid())) == [(100000, 65536), (300000, 65536)]


def test_lines_that_say_nothing_are_passed_over(ids: Path) -> None:
    ids.write_text(f"\n# comment\n{NAME}\n{NAME}:x:65536\n{NAME}:1:2:3\n{NAME}:-1:65536\n")
    assert list(blocks(ids, os.geteuid())) == []


def test_the_first_block_that_is_large_enough_is_taken(ids: Path) -> None:
    ids.write_text(f"{NAME}:100000:{OTHERS - 1}\n{NAME}:400000:{OTHERS}\n")
    assert first_of(ids, os.geteuid()) == 400000


@pytest.mark.parametrize("text", [None, "", f"{NAME}:100000:1000\n"])
def test_a_user_without_enough_ids_is_told_where_they_should_be(ids: Path, text: str | None) -> None:
    if text is not None:
        ids.write_text(text)
    with pytest.raises(NoSubordinateUsersError, match=f"{ids} gives this user no 65536 ids"):
        first_of(ids, os.geteuid())


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(NoSubordinateUsersError, match=r"newuidmop is not installed .*uidmap"):
        write_map("newuidmop", 1, 0, 100000)


def test_what_a_program_refuses_is_said_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "newuidmap"
    refusing.write_text('#!/bin/sh\necho "newuidmap: not allowed: $*" >&2; exit 1\n')
    refusing.chmod(0o755)
    monkeypatch.setattr("scheduler.common.child.PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NoSubordinateUsersError, match="not allowed: 7 0 1000 1 1 100000 65535"):
        write_map("newuidmap", 7, 1000, 100000)


def test_a_service_without_them_starts_and_its_log_says_why(
    ids: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subordinate_users, "FILES", (ids, ids))
    with caplog.at_level(logging.INFO):
        assert subordinate_users.subordinate_users() is None
    assert str(ids) in caplog.records[-1].__dict__["why"]
