"""What names and files of strangers may do to the files of the user who runs a command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client.problem import Problem
from cli.client.settings import Options, load
from tests.support.services.cli_service import Service, gateway


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.parametrize("name", ["-rf", "~", "$(touch PWNED)", "a\nb", "\x1b[31m", ".profile", "*"])
def test_an_object_is_written_under_its_own_name_and_nowhere_else(service: Service, tmp_path: Path, name: str) -> None:
    service.put(f"~~/stor/{name}", b"theirs")
    done = service.run("mget", "-q", "-O", f"~~/stor/{name}", cwd=str(tmp_path))
    assert done.code == 0, done.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"theirs"}


@pytest.mark.parametrize("path", ["~~/stor/..", "/..", "/jill/stor/../../..", "~~/stor/a/../../../../etc/passwd"])
def test_a_name_leads_out_of_no_directory(service: Service, tmp_path: Path, path: str) -> None:
    (tmp_path / "here").mkdir()
    service.run("mget", "-q", "-O", path, cwd=str(tmp_path / "here"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["here"]


def test_an_object_is_not_written_through_a_link_of_its_name(service: Service, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "notes").symlink_to(victim)
    service.put("~~/stor/notes", b"theirs")
    done = service.run("mget", "-q", "-O", "~~/stor/notes", cwd=str(tmp_path / "here"))
    assert done.code == 1
    assert "no regular file" in done.err
    assert victim.read_text() == "mine"


def profile(directory: Path, mode: int = 0o600) -> dict[str, str]:
    file = directory / "client.json"
    file.write_text(json.dumps({"url": "http://service.invalid", "user": "jill", "key_id": "x", "key_file": ""}))
    file.chmod(mode)
    return {"REMORA_STATE_DIR": str(directory)}


@pytest.mark.skipif(os.geteuid() != 0, reason="NO PROFILE OF ANOTHER IS TRIED: that needs root")
def test_a_profile_of_another_user_is_refused(tmp_path: Path) -> None:
    environ = profile(tmp_path)
    assert load(Options(), environ).url == "http://service.invalid"
    os.chown(tmp_path / "client.json", 4321, 4321)
    with pytest.raises(Problem, match="belongs to user 4321"):
        load(Options(), environ)
    assert load(Options(), {**environ, "SUDO_UID": "4321"}).account == "jill"


def test_a_profile_that_others_can_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="can be changed by others"):
        load(Options(), profile(tmp_path, 0o666))


def test_a_private_key_that_others_may_read_is_told(service: Service) -> None:
    key = Path(json.loads((service.state / "client.json").read_text())["key_file"])
    assert service.run("mls", "~~/stor").err == ""
    key.chmod(0o644)
    try:
        assert "others may read the private key" in service.run("mls", "~~/stor").err
    finally:
        key.chmod(0o600)
