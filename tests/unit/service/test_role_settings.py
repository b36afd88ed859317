"""What a gateway or a supervisor cannot be told, it says in one sentence that names the option."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from cli.service import gateway, supervisor
from scheduler.service import settings
from scheduler.service.state import StateError

GOOD = {
    "REMORA_DATABASE": "postgresql://remora:hidden@127.0.0.1:1/remora",
    "REMORA_TOKEN_SECRET": "0123456789abcdef",
    "REMORA_AGENT_KEY": "fedcba9876543210",
}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("10.0.0.5:8080", ("10.0.0.5", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        ("[::]:80", ("::", 80)),
        (":8080", ("", 8080)),
    ],
)
def test_an_address_is_a_host_and_a_port(said, meant):
    assert settings.listen_address(said) == meant


@pytest.mark.parametrize("said", ["", "8080", "host", "host:", "host:x", "host:65536", "::1:80", "[::1]", "a b:1"])
def test_what_is_no_address_is_refused(said):
    with pytest.raises(StateError, match="is not HOST:PORT") as refused:
        settings.listen_address(said)
    assert f'"{said}"' in str(refused.value)


def test_what_is_not_said_is_advertised_as_it_listens():
    assert settings.advertised(None, "10.0.0.5", "http://10.0.0.5:81") == "http://10.0.0.5:81"
    assert settings.advertised("https://front/", "", "http://0.0.0.0:81") == "https://front"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
def test_every_address_is_none_that_can_be_advertised(host):
    with pytest.raises(StateError, match="say with --advertise URL"):
        settings.advertised(None, host, "http://0.0.0.0:81")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a supervisor needs, but for the database, which does not answer."""
    for name, value in {**GOOD, "REMORA_OBJECTS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "url").write_text("postgresql://u:secret@127.0.0.1:1/elsewhere\n")
    (tmp_path / "lines").write_text("postgresql://u:secret@h/n\npostgresql://u:secret@h/m\n")
    (tmp_path / "bytes").write_bytes(b"\xff" * 20)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--database", ""], "which database? Say --database postgresql://USER@HOST/NAME, or set REMORA_DATABASE"),
        (["--database", "/var/remora.db"], "--database: processes of their own share a PostgreSQL database"),
        (["--database", "mysql://h/n"], "--database: processes of their own share a PostgreSQL database"),
        (["--database", "postgresql://u:secret@h/n"], "all users of this machine see the password of a command line"),
        (["--database", "postgresql://h/n?password=secret@"], "put the URL into a file and say --database-file FILE"),
        (["--database-file", "{at}/none"], "--database-file {at}/none: No such file or directory"),
        (["--database-file", "{at}/bytes"], "--database-file {at}/bytes: it is not text"),
        (["--database-file", "{at}/lines"], "--database-file {at}/lines: one line with a URL is needed"),
        (["--database-file", "{at}/url", "--database", "postgresql://h/n"], "say the same: give one of them"),
        (["--database-file", "{at}/url", "--listen", "127.0.0.1:0"], "127.0.0.1:1/elsewhere"),
        (["--objects", "{at}/none"], "--objects: there is no directory {at}/none: is it mounted?"),
        (["--objects", "{at}/short"], "--objects: there is no directory {at}/short: is it mounted?"),
        (["--listen", "nowhere"], '--listen: "nowhere" is not HOST:PORT'),
        (["--advertise", "node5:8090"], '--advertise: "node5:8090" is not a URL'),
        (["--advertise", "ftp://node5"], '--advertise: "ftp://node5" is not a URL'),
        (["--token-secret-file", "{at}/none"], "cannot read the secret of the tokens: --token-secret-file {at}/none"),
        (["--token-secret-file", "{at}/bytes"], "--token-secret-file {at}/bytes: it is not text"),
        (["--agent-key-file", "{at}/short"], "the agents' key is too short: --agent-key-file {at}/short has 5"),
    ],
)
@pytest.mark.parametrize("role", [gateway, supervisor])
def test_a_bad_option_is_refused_before_anything_is_opened(environment, capsys, role, words, sentence):
    said = refusal(capsys, role, *(word.format(at=environment) for word in words))
    assert sentence.format(at=environment) in said
    assert "secret@" not in said and ":secret" not in said


@pytest.mark.parametrize(
    ("variable", "option"),
    [("REMORA_TOKEN_SECRET", "--token-secret-file"), ("REMORA_AGENT_KEY", "--agent-key-file")],
)
def test_a_secret_that_is_missing_is_asked_for_by_name(environment, capsys, monkeypatch, variable, option):
    monkeypatch.delenv(variable)
    assert f"is missing: say {option} FILE, or set {variable}" in refusal(capsys, gateway)


def test_a_supervisor_on_every_address_must_say_where_it_is(environment, capsys):
    assert "say with --advertise URL" in refusal(capsys, supervisor, "--listen", ":0", "--plain")


@pytest.mark.parametrize("role", [gateway, supervisor])
def test_a_database_that_does_not_answer_is_named_without_its_password(environment, capsys, role):
    said = refusal(capsys, role, "--listen", "127.0.0.1:0")
    assert "127.0.0.1:1/remora" in said
    assert "hidden" not in said


def test_images_are_versions():
    assert settings.image_versions("20.1.0, 21.0.0,") == ("20.1.0", "21.0.0")
    assert settings.image_versions("") == ()


def test_what_is_no_version_of_an_image_is_refused(environment, capsys):
    assert '--images: "latest" is not a version' in refusal(capsys, gateway, "--images", "20.1.0,latest")


def refusal(capsys: pytest.CaptureFixture[str], role: ModuleType, *words: str) -> str:
    """The one sentence with which a command ends that cannot start."""
    with pytest.raises(SystemExit) as ended:
        role.command.main(list(words), prog_name="remora")
    assert ended.value.code == 1
    said, *more = capsys.readouterr().err.splitlines()
    assert not more
    return said
