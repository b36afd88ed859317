"""A user without a name, or without a home, is told what to say; nothing is made in a directory called `~`."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from cli.client.problem import Problem
from cli.client.settings import home_directory, read_profile, state_directory
from scheduler.service import first_account
from scheduler.service.state import StateError


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid that the machine has no entry for, and an environment without names."""

    def missing(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", missing)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("unknown")
def test_a_user_without_a_name_is_told_to_say_a_login() -> None:
    with pytest.raises(StateError, match="has no name on this machine: say --login NAME"):
        first_account.default_login()


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_user_without_a_home_is_told_to_say_a_state_directory(home: str | None) -> None:
    environ = {} if home is None else {"HOME": home}
    with pytest.raises(Problem, match="say --state-dir DIR, or set REMORA_STATE_DIR"):
        state_directory(environ)
    assert read_profile(environ).url == ""  # all may be said by variables


def test_a_home_is_found_without_the_variable() -> None:
    assert home_directory({}) == pwd.getpwuid(os.getuid()).pw_dir


@pytest.mark.usefixtures("unknown")
def test_what_is_said_needs_no_home() -> None:
    assert state_directory({"REMORA_STATE_DIR": "/x"}) == Path("/x")
    assert state_directory({"XDG_STATE_HOME": "/x"}) == Path("/x/remora")
