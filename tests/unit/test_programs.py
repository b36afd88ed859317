"""The directory of tools and commands that instances are shown."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from scheduler.providers import programs
from scheduler.providers.programs import Programs, launcher_of


def run(launcher: Path, *words: str) -> str:
    return subprocess.run([launcher, *words], check=True, capture_output=True, text=True, env={}).stdout


def test_a_launcher_finds_its_module_wherever_that_is_and_passes_all_words(tmp_path: Path) -> None:
    place = tmp_path / 'it\'s a "place" $HOME `x` \\n'
    place.mkdir()
    (place / "said.py").write_text("import sys\ndef main():\n    print(sys.argv)\n")
    launcher = tmp_path / "launcher"
    launcher.write_text(launcher_of("say", "said:main", {}, {"packages/0": place}))
    launcher.chmod(0o755)
    assert run(launcher, "two words", "line\nbreak", "") == "['say', 'two words', 'line\\nbreak', '']\n"


def test_the_directory_has_tools_and_commands_and_nothing_for_services(tmp_path: Path) -> None:
    made = Programs(tmp_path / "tools", isolated=False)
    names = {path.name for path in made.tools.iterdir()}
    assert {"mpipe", "mcat", "mtee", "msplit", "mls", "mput", "mget", "mjob"} <= names
    assert names.isdisjoint({"lackey", "remora"})
    assert made.shown == {}
    assert run(made.tools / "mls", "--version").startswith("mls ")


def test_it_is_made_anew_at_every_start(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "stale").touch()
    assert not (Programs(tmp_path / "tools", isolated=True).tools / "stale").exists()


def test_a_launcher_for_an_instance_names_nothing_of_this_machine(tmp_path: Path) -> None:
    made = Programs(tmp_path / "tools", isolated=True)
    text = (made.tools / "mls").read_text()
    assert "/.remora/python/bin/python3" in text
    assert not [path for path in made.shown.values() if str(path) in text]


def test_tools_are_there_where_the_commands_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(programs, "DISTRIBUTION", "nothing-of-this-name")
    with caplog.at_level(logging.WARNING):
        made = Programs(tmp_path / "tools", isolated=True)
    assert {path.name for path in made.tools.iterdir()} >= {"mpipe", "mcat"}
    assert made.shown == {}
    assert "not installed" in caplog.text
