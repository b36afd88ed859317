"""A service that cannot start says why, in one sentence."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
from pathlib import Path

import pytest

from scheduler import log
from scheduler.service.run import serve
from scheduler.service.settings import ServiceOptions
from scheduler.service.state import DATABASE, StateError

NO_LOGIN = "cannot be a login: a letter, then letters, digits and any of _ - . @ %"
NO_KEY = "not an SSH public key: one line like `ssh-ed25519 AAAA… comment` is needed"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "directory").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"login": ""}, f'"" {NO_LOGIN}'),
        ({"login": "a/b"}, f'"a/b" {NO_LOGIN}'),
        ({"login": "_agent"}, f'"_agent" {NO_LOGIN}'),
        ({"login": "metrics"}, '"metrics" cannot be a login: the service uses that name itself'),
        ({"key": "none.pub"}, "cannot read the public key {place}/none.pub: No such file or directory"),
        ({"key": "directory"}, "cannot read the public key {place}/directory: Is a directory"),
        ({"key": "bytes"}, "cannot read the public key {place}/bytes: it is not text"),
        ({"key": "file"}, f"{{place}}/file is {NO_KEY}"),
        ({"state_dir": "file"}, "cannot use {place}/file for the state: it is not a directory"),
        ({"state_dir": "file/x"}, "cannot use {place}/file/x for the state: Not a directory"),
        (
            {"workers": 2, "database": "postgresql://h/d"},
            "--workers: on PostgreSQL any number of `remora gateway`",
        ),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1 port 0: "),
    ],
)
def test_what_is_wrong_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], sentence: str
) -> None:
    monkeypatch.setattr(log, "setup", lambda: None)
    given = {name: place / value if name in ("state_dir", "key") else value for name, value in options.items()}
    with pytest.raises(StateError, match=re.escape(sentence.format(place=place))) as refused:
        serve(ServiceOptions(**{"state_dir": place / "state", "port": 0, **given}), pytest.fail)
    assert "\n" not in str(refused.value)


def test_an_address_that_others_have_is_named_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "setup", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StateError) as refused:
            serve(ServiceOptions(state_dir=place / "state", port=port), pytest.fail)
    assert str(refused.value) == f"cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not a database" * 100, "file is not a database"), (None, "its schema is 1000, this program's ")],
)
def test_a_database_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, why: str
) -> None:
    monkeypatch.setattr(log, "setup", lambda: None)
    state = tmp_path / "state"
    state.mkdir()
    if content is None:
        with contextlib.closing(sqlite3.connect(state / DATABASE)) as newer:
            newer.execute("PRAGMA user_version = 1000")
    else:
        (state / DATABASE).write_bytes(content)
    with pytest.raises(StateError, match=f"^cannot use {re.escape(str(state / DATABASE))}: {why}"):
        serve(ServiceOptions(state_dir=state, port=0), pytest.fail)
